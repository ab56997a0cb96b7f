// decode_tiff: libtiff over bytes in memory, strips and tiles alike.
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include "data/readers/image.hpp"

namespace gliograd::data {
namespace {

constexpr tmsize_t kMostLibraryBytes = tmsize_t{512} << 20;  // in one piece

struct Source {
  const uint8_t* bytes;
  toff_t size;
  toff_t at = 0;
};

tmsize_t read_source(thandle_t handle, void* out, tmsize_t size) {
  auto& source = *static_cast<Source*>(handle);
  const toff_t left = source.at < source.size ? source.size - source.at : 0;
  const auto count = static_cast<tmsize_t>(std::min<toff_t>(left, static_cast<toff_t>(size)));
  std::memcpy(out, source.bytes + source.at, static_cast<size_t>(count));
  source.at += static_cast<toff_t>(count);
  return count;
}

toff_t seek_source(thandle_t handle, toff_t offset, int whence) {
  auto& source = *static_cast<Source*>(handle);
  const toff_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? source.at : source.size;
  source.at = base + offset;
  return source.at;
}

tmsize_t refuse_write(thandle_t, void*, tmsize_t) { return 0; }
int close_source(thandle_t) { return 0; }
toff_t size_source(thandle_t handle) { return static_cast<Source*>(handle)->size; }
int no_map(thandle_t, void**, toff_t*) { return 0; }
void no_unmap(thandle_t, void*, toff_t) {}

/// Keeps the library's first complaint; the later ones follow from it.
int keep_message(TIFF*, void* message, const char*, const char* format, va_list arguments) {
  auto& kept = *static_cast<std::string*>(message);
  char text[256];
  std::vsnprintf(text, sizeof text, format, arguments);
  if (kept.empty()) kept = text;
  return 1;
}

int ignore_message(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct Closer {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
  void operator()(TIFFOpenOptions* options) const { TIFFOpenOptionsFree(options); }
};
using Tiff = std::unique_ptr<TIFF, Closer>;

/// Caught in decode_tiff, which knows what the library said.
struct Damaged {};
[[noreturn]] void damaged() { throw Damaged(); }

template <class T>
T field(TIFF* tiff, uint32_t tag) {
  T value = 0;
  TIFFGetFieldDefaulted(tiff, tag, &value);
  return value;
}

struct Layout {
  int64_t height, width, channels, bits;
  uint16_t format, photometric, planar;
  int64_t sample_bytes() const { return bits / 8; }
};

/// Rows of strips or tiles into `out` [height, width, channels] of `bits` each.
void read_blocks(TIFF* tiff, const Layout& a, std::vector<uint8_t>& out) {
  const bool tiled = TIFFIsTiled(tiff) != 0;
  int64_t rows = tiled ? field<uint32_t>(tiff, TIFFTAG_TILELENGTH)
                       : field<uint32_t>(tiff, TIFFTAG_ROWSPERSTRIP);
  const int64_t columns = tiled ? field<uint32_t>(tiff, TIFFTAG_TILEWIDTH) : a.width;
  if (!tiled) rows = std::min(rows, a.height);  // "all rows" is written as 2^32 - 1
  const int64_t planes = a.planar == PLANARCONFIG_SEPARATE ? a.channels : 1;
  const int64_t pixel = a.channels / planes * a.sample_bytes();  // bytes of a pixel in a block
  if (rows < 1 || columns < 1) damaged();
  check_image_size(rows, columns, a.channels / planes, a.sample_bytes());
  const int64_t block_bytes = rows * columns * pixel;
  const uint64_t says =
      tiled ? TIFFTileSize64(tiff) : TIFFVStripSize64(tiff, static_cast<uint32_t>(rows));
  if (says != static_cast<uint64_t>(block_bytes)) damaged();
  std::vector<uint8_t> block(static_cast<size_t>(block_bytes));
  for (int64_t plane = 0; plane < planes; ++plane) {
    for (int64_t y = 0; y < a.height; y += rows) {
      for (int64_t x = 0; x < a.width; x += columns) {
        const auto s = static_cast<uint16_t>(plane);
        const int64_t high = std::min(rows, a.height - y), wide = std::min(columns, a.width - x);
        const tmsize_t want = tiled ? block_bytes : high * columns * pixel;
        const auto y32 = static_cast<uint32_t>(y), x32 = static_cast<uint32_t>(x);
        const tmsize_t got =
            tiled ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, x32, y32, 0, s), block.data(),
                                        want)
                  : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, y32, s), block.data(), want);
        if (got != want) damaged();
        for (int64_t r = 0; r < high; ++r) {
          const uint8_t* from = block.data() + r * columns * pixel;
          uint8_t* to =
              out.data() + (((y + r) * a.width + x) * a.channels + plane) * a.sample_bytes();
          if (planes == 1) {
            std::memcpy(to, from, static_cast<size_t>(wide * pixel));
            continue;
          }
          for (int64_t i = 0; i < wide; ++i) {
            std::memcpy(to + i * a.channels * a.sample_bytes(), from + i * pixel,
                        static_cast<size_t>(pixel));
          }
        }
      }
    }
  }
}

template <class From>
void to_f32(std::vector<uint8_t>& bytes) {
  for (size_t i = 0; i + sizeof(From) <= bytes.size(); i += sizeof(From)) {
    From value;
    std::memcpy(&value, bytes.data() + i, sizeof value);
    const float number = static_cast<float>(value);
    std::memcpy(bytes.data() + i, &number, sizeof number);
  }
}

/// 16-bit signed values need a wider home.
void widen_signed(std::vector<uint8_t>& bytes) {
  std::vector<uint8_t> wide(bytes.size() * 2);
  for (size_t i = 0; i < bytes.size() / 2; ++i) {
    int16_t value;
    std::memcpy(&value, bytes.data() + 2 * i, sizeof value);
    const float number = value;
    std::memcpy(wide.data() + 4 * i, &number, sizeof number);
  }
  bytes = std::move(wide);
}

/// Palettes, bilevel images and other colors by the library's own conversion to 8-bit RGB.
Image read_converted(TIFF* tiff, const Layout& a) {
  check_image_size(a.height, a.width, 4, 1);
  std::vector<uint32_t> pixels(static_cast<size_t>(a.height * a.width));
  if (TIFFReadRGBAImageOriented(tiff, static_cast<uint32_t>(a.width),
                                static_cast<uint32_t>(a.height), pixels.data(), ORIENTATION_TOPLEFT,
                                1) == 0) {
    damaged();
  }
  const bool gray =
      a.photometric == PHOTOMETRIC_MINISBLACK || a.photometric == PHOTOMETRIC_MINISWHITE;
  Image image{a.height, a.width, gray ? 1 : 3, SampleType::u8, {}};
  for (const uint32_t pixel : pixels) {
    image.bytes.push_back(static_cast<uint8_t>(TIFFGetR(pixel)));
    if (gray) continue;
    image.bytes.push_back(static_cast<uint8_t>(TIFFGetG(pixel)));
    image.bytes.push_back(static_cast<uint8_t>(TIFFGetB(pixel)));
  }
  return image;
}

Image read_plain(TIFF* tiff, const Layout& a) {
  Image image{a.height, a.width, a.channels, SampleType::u8, {}};
  image.bytes.resize(static_cast<size_t>(a.height * a.width * a.channels * a.sample_bytes()));
  read_blocks(tiff, a, image.bytes);
  const bool is_float = a.format == SAMPLEFORMAT_IEEEFP, is_signed = a.format == SAMPLEFORMAT_INT;
  if (a.bits == 16) {
    image.type = is_signed ? SampleType::f32 : SampleType::u16;
    if (is_signed) widen_signed(image.bytes);
  } else if (a.bits == 32) {
    image.type = SampleType::f32;
    if (is_signed) to_f32<int32_t>(image.bytes);
    if (!is_signed && !is_float) to_f32<uint32_t>(image.bytes);
  }
  if (a.photometric == PHOTOMETRIC_MINISWHITE) {  // unsigned integers of 8 or 16 bits
    for (uint8_t& byte : image.bytes) byte = static_cast<uint8_t>(~byte);
  }
  return image;
}

Image decode(TIFF* tiff) {
  if (tiff == nullptr) damaged();
  Layout a{
      field<uint32_t>(tiff, TIFFTAG_IMAGELENGTH),     field<uint32_t>(tiff, TIFFTAG_IMAGEWIDTH),
      field<uint16_t>(tiff, TIFFTAG_SAMPLESPERPIXEL), field<uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE),
      field<uint16_t>(tiff, TIFFTAG_SAMPLEFORMAT),    field<uint16_t>(tiff, TIFFTAG_PHOTOMETRIC),
      field<uint16_t>(tiff, TIFFTAG_PLANARCONFIG)};
  check_image_size(a.height, a.width, a.channels, std::max<int64_t>(1, a.sample_bytes()));
  if (TIFFNumberOfDirectories(tiff) != 1) throw Error("holds several pages; one image is needed");
  const auto codec = field<uint16_t>(tiff, TIFFTAG_COMPRESSION);
  if (TIFFIsCODECConfigured(codec) == 0) {
    throw Error("is compressed by a codec that this libtiff lacks (" + std::to_string(codec) + ")");
  }
  const bool gray =
      a.photometric == PHOTOMETRIC_MINISBLACK || a.photometric == PHOTOMETRIC_MINISWHITE;
  const bool plain_type =
      (a.format == SAMPLEFORMAT_UINT && (a.bits == 8 || a.bits == 16 || a.bits == 32)) ||
      (a.format == SAMPLEFORMAT_INT && (a.bits == 16 || a.bits == 32)) ||
      (a.format == SAMPLEFORMAT_IEEEFP && a.bits == 32);
  const bool inverted =
      a.photometric == PHOTOMETRIC_MINISWHITE && (a.format != SAMPLEFORMAT_UINT || a.bits > 16);
  if (plain_type && !inverted && (gray || a.photometric == PHOTOMETRIC_RGB)) {
    return read_plain(tiff, a);
  }
  char why[1024] = {};
  if (a.bits <= 8 && a.format == SAMPLEFORMAT_UINT && TIFFRGBAImageOK(tiff, why) != 0)
    return read_converted(tiff, a);
  throw Error("has " + std::to_string(a.bits) + " bits a sample, sample format " +
              std::to_string(a.format) + ", photometric " + std::to_string(a.photometric) +
              "; 8, 16 or 32 bits of gray or RGB are needed");
}

}  // namespace

Image decode_tiff(const std::vector<uint8_t>& bytes) {
  std::string message;
  const std::unique_ptr<TIFFOpenOptions, Closer> options(TIFFOpenOptionsAlloc());
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_message, &message);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), ignore_message, nullptr);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMostLibraryBytes);
  Source source{bytes.data(), bytes.size()};
  const Tiff file(TIFFClientOpenExt("image", "rm", &source, read_source, refuse_write, seek_source,
                                    close_source, size_source, no_map, no_unmap, options.get()));
  try {
    return decode(file.get());
  } catch (const Damaged&) {
    throw Error("damaged" + (message.empty() ? "" : ": " + message));
  }
}

}  // namespace gliograd::data
