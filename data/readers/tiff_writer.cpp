#include "data/readers/tiff_writer.hpp"

#include <tiffio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "engine/core/error.hpp"

namespace gliograd::data {
namespace {

/// The file in memory that libtiff writes to and reads back from.
struct MemoryFile {
  std::vector<uint8_t> bytes;
  size_t at = 0;
  std::string complaint;  // libtiff's own words
};

MemoryFile& file_of(thandle_t handle) { return *static_cast<MemoryFile*>(handle); }

tmsize_t read_bytes(thandle_t handle, void* to, tmsize_t size) {
  MemoryFile& file = file_of(handle);
  const size_t left = file.bytes.size() - std::min(file.at, file.bytes.size());
  const size_t count = std::min(left, static_cast<size_t>(size));
  std::copy_n(file.bytes.data() + file.at, count, static_cast<uint8_t*>(to));
  file.at += count;
  return static_cast<tmsize_t>(count);
}

tmsize_t write_bytes(thandle_t handle, void* from, tmsize_t size) {
  MemoryFile& file = file_of(handle);
  const size_t end = file.at + static_cast<size_t>(size);
  if (end > file.bytes.size()) file.bytes.resize(end);
  std::copy_n(static_cast<const uint8_t*>(from), size, file.bytes.data() + file.at);
  file.at = end;
  return size;
}

toff_t seek(thandle_t handle, toff_t offset, int whence) {
  MemoryFile& file = file_of(handle);
  const size_t base = whence == SEEK_CUR ? file.at : whence == SEEK_END ? file.bytes.size() : 0;
  file.at = base + offset;
  return file.at;
}

int close_nothing(thandle_t) { return 0; }
toff_t size_of(thandle_t handle) { return file_of(handle).bytes.size(); }

int keep_complaint(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  char line[256];
  std::vsnprintf(line, sizeof line, format, arguments);
  static_cast<MemoryFile*>(user)->complaint = line;
  return 1;
}

void encode(MemoryFile& file, const std::string& path, const uint8_t* pixels, int64_t height,
            int64_t width, int64_t channels) {
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  TIFFOpenOptionsSetErrorHandlerExtR(options, keep_complaint, &file);
  TIFF* tiff = TIFFClientOpenExt(path.c_str(), "w", &file, read_bytes, write_bytes, seek,
                                 close_nothing, size_of, nullptr, nullptr, options);
  TIFFOpenOptionsFree(options);
  bool good = tiff != nullptr;
  if (good) {
    const std::unique_ptr<TIFF, void (*)(TIFF*)> closer(tiff, TIFFClose);
    const int64_t row = width * channels;
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, static_cast<uint32_t>(width));
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, static_cast<uint32_t>(height));
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, static_cast<int>(channels));
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC,
                 channels == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, static_cast<uint32_t>(height));
    // libtiff takes a buffer it may change, so it gets a copy.
    std::vector<uint8_t> copy(pixels, pixels + height * row);
    good = TIFFWriteEncodedStrip(tiff, 0, copy.data(), static_cast<tmsize_t>(copy.size())) >= 0 &&
           TIFFWriteDirectory(tiff) == 1;
  }
  if (!good) throw WorkError(concat_text(path, ": TIFF not written: ", file.complaint));
}

}  // namespace

void write_tiff(const std::string& path, const uint8_t* pixels, int64_t height, int64_t width,
                int64_t channels) {
  GG_CHECK(height >= 1 && width >= 1 && height <= 65535 && width <= 65535, path,
           ": a TIFF of 1 to 65535 rows and columns is written; got ", height, " x ", width);
  GG_CHECK(channels == 1 || channels == 3, path, ": a TIFF has 1 or 3 channels here; got ",
           channels);
  MemoryFile file;
  encode(file, path, pixels, height, width, channels);
  const std::string partial = path + ".partial";
  std::FILE* out = std::fopen(partial.c_str(), "wb");
  if (out == nullptr) throw WorkError(concat_text(path, ": ", std::strerror(errno)));
  errno = 0;
  bool good = std::fwrite(file.bytes.data(), 1, file.bytes.size(), out) == file.bytes.size();
  int why = errno;
  if (std::fclose(out) != 0) {
    if (good) why = errno;
    good = false;
  }
  if (good && std::rename(partial.c_str(), path.c_str()) != 0) {
    why = errno;
    good = false;
  }
  if (!good) {
    unlink(partial.c_str());
    throw WorkError(concat_text(path, ": ", std::strerror(why)));
  }
}

}  // namespace gliograd::data
