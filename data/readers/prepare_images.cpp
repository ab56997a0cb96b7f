#include "data/readers/prepare_images.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "data/fingerprint.hpp"
#include "data/readers/source_folder.hpp"
#include "data/robust_scale.hpp"
#include "engine/core/atomic_file.hpp"

namespace gliograd::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kChannels = 3;

struct Photograph {
  std::string path, category, id;
};

std::vector<Photograph> find_images(const std::string& folder) {
  std::vector<Photograph> images;
  std::set<std::string> ids;
  for (const std::string& category : folders_in(folder)) {
    const size_t before = images.size();
    const std::string name = fs::path(category).filename().string();
    for (const std::string& file : files_in(category)) {
      std::string extension = fs::path(file).extension().string();
      for (char& c : extension) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      if (extension != ".jpg" && extension != ".jpeg" && extension != ".png") continue;
      const std::string id = name + "/" + fs::path(file).stem().string();
      if (!ids.insert(id).second) throw Error(file + ": another file has this name but the ending");
      images.push_back({file, name, id});
    }
    if (images.size() == before) throw Error(category + ": holds no JPEG or PNG images");
  }
  if (images.empty() || images.front().category == images.back().category) {
    throw Error(folder + ": needs two folders of images or more, one a category");
  }
  std::sort(images.begin(), images.end(),
            [](const Photograph& a, const Photograph& b) { return a.id < b.id; });
  return images;
}

/// Any gray or color image of 8 bits as RGB.
WholeSlice to_rgb(const Photograph& photograph, Image image) {
  if (image.type != SampleType::u8) {
    throw Error(photograph.path + ": must be 8-bit; it is " + image.kind());
  }
  WholeSlice slice;
  slice.height = image.height;
  slice.width = image.width;
  const bool gray = image.channels < 3;
  for (size_t i = 0; i < image.bytes.size(); i += image.channels) {
    for (int64_t c = 0; c < kChannels; ++c) slice.pixels.push_back(image.bytes[i + (gray ? 0 : c)]);
  }
  return slice;
}

}  // namespace

Prepared prepare_images(const std::string& folder, const ImageSetOptions& options,
                        const Progress& progress) {
  check_folder(folder);
  const std::vector<Photograph> images = find_images(folder);
  const auto count = static_cast<int64_t>(images.size());
  const int64_t size = options.size, values = size * size * kChannels;
  Prepared out;
  Dataset& set = out.set;
  set.name = folder;
  set.slices_count = count;
  set.height = set.width = size;
  set.channels = {"red", "green", "blue"};
  set.images.assign(static_cast<size_t>(count * values), 0);
  set.patients.resize(images.size());
  set.slices.resize(images.size());
  std::vector<std::string> digests(images.size());
  for_each_decoding(
      count, options.threads,
      [&](int64_t i, ImageDecoder& decoder) {
        const std::vector<uint8_t> bytes = read_bytes(images[i].path);
        Digest digest;
        digest.add(images[i].id);
        digest.add(bytes.data(), bytes.size());
        digests[i] = digest.hex();
        const WholeSlice slice = to_rgb(images[i], decoder.decode(images[i].path, bytes));
        const int64_t side = std::min(slice.height, slice.width);
        const int64_t row = (slice.height - side) / 2, column = (slice.width - side) / 2;
        scale_square(slice, kChannels, static_cast<double>(row), static_cast<double>(column),
                     static_cast<double>(side), size, set.images.data() + i * values, nullptr);
        set.slices[i].patient = static_cast<int32_t>(i);
        set.slices[i].origin = {static_cast<int32_t>(row), static_cast<int32_t>(column)};
        Patient& patient = set.patients[i];
        patient.id = images[i].id;
        patient.identity = "photograph/" + images[i].id;
        patient.present.assign(kChannels, 1);
        patient.fingerprint =
            fingerprint({{slice.pixels.data(), slice.height, slice.width, kChannels, nullptr}});
      },
      progress);
  const std::vector<Affine> scale =
      robust_scale_of_all({{set.images.data(), count * size * size}}, kChannels);
  std::set<std::string> categories;
  for (const Photograph& image : images) categories.insert(image.category);
  LabelColumn column{"category", {categories.begin(), categories.end()}, {}};
  std::sort(column.classes.begin(), column.classes.end(), class_before);
  Digest digest;
  for (int64_t i = 0; i < count; ++i) {
    set.patients[i].affine = scale;
    const auto at = std::find(column.classes.begin(), column.classes.end(), images[i].category);
    column.values.push_back(static_cast<int32_t>(at - column.classes.begin()));
    digest.add(digests[i]);
  }
  set.labels.push_back(std::move(column));
  digest.add("size=" + std::to_string(size));
  set.digest = digest.hex();
  return out;
}

}  // namespace gliograd::data
