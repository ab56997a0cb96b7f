#include "data/readers/source_folder.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>
#include <map>
#include <sstream>

#include "engine/core/atomic_file.hpp"
#include "engine/core/error.hpp"

namespace gliograd::data {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> entries(const std::string& folder, bool folders) {
  check_folder(folder);
  std::vector<std::string> names;
  std::error_code code;
  for (auto at = fs::directory_iterator(folder, code); !code && at != fs::directory_iterator();
       at.increment(code)) {
    if (at->path().filename().string()[0] == '.') continue;
    std::error_code unreadable;  // a link in a circle: a file that the reader will name
    if (at->is_directory(unreadable) == folders) names.push_back(at->path().string());
  }
  if (code) throw Error(folder + ": " + code.message());
  std::sort(names.begin(), names.end());
  return names;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return text;
}

/// The number behind the last "_" of a name without extension and "_mask"; -1 when there is none.
int64_t number_of(const std::string& stem) {
  const size_t at = stem.rfind('_');
  if (at == std::string::npos || at == 0) return -1;
  const char* from = stem.data() + at + 1;
  const char* end = stem.data() + stem.size();
  int32_t number = -1;
  const auto [stop, error] = std::from_chars(from, end, number);
  return error == std::errc() && stop == end && from != end && *from != '-' ? number : -1;
}

Image decode_file(const std::string& path, ImageDecoder& decoder, Digest& digest) {
  const std::vector<uint8_t> bytes = read_bytes(path);
  digest.add(fs::path(path).filename().string());
  digest.add(bytes.data(), bytes.size());
  return decoder.decode(path, bytes);
}

}  // namespace

void check_folder(const std::string& folder) {
  std::error_code code;
  const fs::file_status status = fs::status(folder, code);
  if (status.type() == fs::file_type::not_found) {
    throw Error(folder + ": No such file or directory");
  }
  if (code) throw Error(folder + ": " + code.message());
  if (status.type() != fs::file_type::directory) {
    throw Error(folder + ": is a file; a folder is needed");
  }
}

std::vector<std::string> folders_in(const std::string& folder) { return entries(folder, true); }
std::vector<std::string> files_in(const std::string& folder) { return entries(folder, false); }

std::vector<SliceFiles> slice_files(const std::string& folder,
                                    const std::vector<std::string>& extensions,
                                    bool mask_optional) {
  constexpr char kMask[] = "_mask";
  std::map<int64_t, SliceFiles> slices;
  for (const std::string& file : files_in(folder)) {
    const fs::path path = file;
    const std::string extension = lower(path.extension().string());
    if (std::find(extensions.begin(), extensions.end(), extension) == extensions.end()) continue;
    std::string stem = path.stem().string();
    const bool is_mask = stem.size() > 5 && stem.compare(stem.size() - 5, 5, kMask) == 0;
    if (is_mask) stem.resize(stem.size() - 5);
    const int64_t number = number_of(stem);
    if (number < 0)
      throw Error(concat_text(file, ": its name does not end in _<slice number>", extension));
    SliceFiles& slice = slices[number];
    slice.number = static_cast<int32_t>(number);
    std::string& place = is_mask ? slice.mask : slice.image;
    if (!place.empty()) {
      throw Error(concat_text(file, ": slice ", number, " is there twice, also as ", place));
    }
    place = file;
  }
  std::vector<SliceFiles> out;
  for (auto& [number, slice] : slices) {
    if (slice.image.empty()) throw Error(slice.mask + ": is a mask without an image");
    if (slice.mask.empty() && !mask_optional) {
      throw Error(slice.image + ": is an image without a mask");
    }
    out.push_back(std::move(slice));
  }
  if (out.empty()) throw Error(folder + ": holds no slices");
  return out;
}

WholeSlice read_slice(const SliceFiles& files, int64_t channels, ImageDecoder& decoder,
                      Digest& digest) {
  Image image = decode_file(files.image, decoder, digest);
  if (image.type != SampleType::u8 || image.channels != channels) {
    throw Error(files.image + ": must be 8-bit with " + std::to_string(channels) +
                (channels == 1 ? " channel" : " channels") + "; it is " + image.kind());
  }
  WholeSlice slice;
  slice.number = files.number;
  slice.height = image.height;
  slice.width = image.width;
  slice.pixels = std::move(image.bytes);
  if (files.mask.empty()) {
    slice.mask.assign(static_cast<size_t>(slice.height * slice.width), 0);
    return slice;
  }
  Image mask = decode_file(files.mask, decoder, digest);
  if (mask.height != slice.height || mask.width != slice.width) {
    throw Error(files.mask + ": has " + std::to_string(mask.width) + "x" +
                std::to_string(mask.height) + " pixels, its image " + std::to_string(slice.width) +
                "x" + std::to_string(slice.height));
  }
  if (mask.type != SampleType::u8 || mask.channels != 1) {
    throw Error(files.mask + ": a mask must be 8-bit with 1 channel; it is " + mask.kind());
  }
  uint8_t inside = 0;
  for (uint8_t& pixel : mask.bytes) {
    if (pixel != 0 && inside == 0) inside = pixel;
    if (pixel != 0 && pixel != inside) {  // a gray image, or one that lost its edges to a codec
      throw Error(files.mask + ": a mask must hold 0 and one other value; it holds " +
                  std::to_string(inside) + " and " + std::to_string(pixel));
    }
    pixel = pixel != 0 ? 1 : 0;
  }
  slice.mask = std::move(mask.bytes);
  return slice;
}

void repeat_gray(WholeSlice& slice, int64_t channels) {
  std::vector<uint8_t> pixels;
  pixels.reserve(slice.pixels.size() * channels);
  for (const uint8_t pixel : slice.pixels) {
    pixels.insert(pixels.end(), static_cast<size_t>(channels), pixel);
  }
  slice.pixels = std::move(pixels);
}

std::string settings_text(const CropOptions& options) {
  std::ostringstream text;
  text << "crop=" << name_of(options.crop);
  if (options.crop != Crop::none) text << " size=" << options.size;
  if (options.crop == Crop::box) text << " margin=" << options.margin;
  text << " slices=" << (options.tumor_only ? "tumor" : "all");
  return text.str();
}

}  // namespace gliograd::data
