#include "tests/support/image_files.hpp"

#include <tiffio.h>

#include <cstring>

#include "tests/support/support.hpp"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace gliograd::test {
namespace {

void append(void* out, void* bytes, int size) {
  auto* from = static_cast<uint8_t*>(bytes);
  static_cast<std::vector<uint8_t>*>(out)->insert(static_cast<std::vector<uint8_t>*>(out)->end(),
                                                  from, from + size);
}

void write_page(TIFF* tiff, const std::vector<uint8_t>& samples, const TiffForm& form) {
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, form.height);
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, form.width);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, form.channels);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, form.bits);
  TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, form.format);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, form.photometric);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, form.codec);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, form.planar);
  const uint16_t alpha = EXTRASAMPLE_UNASSALPHA;
  if (form.channels == 4) TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &alpha);
  const int planes = form.planar == PLANARCONFIG_SEPARATE ? form.channels : 1;
  const int bytes = form.bits / 8, pixel = form.channels / planes * bytes;
  const auto sample = [&](int y, int x, int c) {
    return samples.data() + ((y * form.width + x) * form.channels + c) * bytes;
  };
  const int high = form.tile > 0 ? form.tile : form.rows;
  const int wide = form.tile > 0 ? form.tile : form.width;
  if (form.tile > 0) {
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, form.tile);
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, form.tile);
  } else {
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, form.rows);
  }
  uint32_t index = 0;
  for (int plane = 0; plane < planes; ++plane) {
    for (int y0 = 0; y0 < form.height; y0 += high) {
      for (int x0 = 0; x0 < form.width; x0 += wide, ++index) {
        const int rows = form.tile > 0 ? high : std::min(high, form.height - y0);
        std::vector<uint8_t> block(static_cast<size_t>(rows * wide * pixel), 0);
        for (int y = 0; y < std::min(rows, form.height - y0); ++y) {
          for (int x = 0; x < std::min(wide, form.width - x0); ++x) {
            std::memcpy(block.data() + (y * wide + x) * pixel, sample(y0 + y, x0 + x, plane),
                        static_cast<size_t>(pixel));
          }
        }
        const auto size = static_cast<tmsize_t>(block.size());
        REQUIRE((form.tile > 0 ? TIFFWriteEncodedTile(tiff, index, block.data(), size)
                               : TIFFWriteEncodedStrip(tiff, index, block.data(), size)) == size);
      }
    }
  }
  REQUIRE(TIFFWriteDirectory(tiff) == 1);
}

}  // namespace

std::vector<uint8_t> png_bytes(const std::vector<uint8_t>& pixels, int height, int width,
                               int channels) {
  std::vector<uint8_t> out;
  REQUIRE(stbi_write_png_to_func(append, &out, width, height, channels, pixels.data(),
                                 width * channels) != 0);
  return out;
}

std::vector<uint8_t> jpeg_bytes(const std::vector<uint8_t>& pixels, int height, int width,
                                int channels, int quality) {
  std::vector<uint8_t> out;
  REQUIRE(stbi_write_jpg_to_func(append, &out, width, height, channels, pixels.data(), quality) !=
          0);
  return out;
}

std::vector<uint8_t> tiff_bytes(const std::vector<uint8_t>& samples, const TiffForm& form) {
  const TempDir folder;
  const std::string path = folder / "a.tif";
  TIFF* tiff = TIFFOpen(path.c_str(), form.big_endian ? "wb" : "wl");
  REQUIRE(tiff != nullptr);
  for (int page = 0; page < form.pages; ++page) write_page(tiff, samples, form);
  TIFFClose(tiff);
  const std::string text = read_file(path);
  return {text.begin(), text.end()};
}

std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace gliograd::test
