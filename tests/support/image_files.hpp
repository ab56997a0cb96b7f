// Image files as bytes, made by the libraries directly, for the tests of our decoders.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace gliograd::test {

std::vector<uint8_t> png_bytes(const std::vector<uint8_t>& pixels, int height, int width,
                               int channels);
std::vector<uint8_t> jpeg_bytes(const std::vector<uint8_t>& pixels, int height, int width,
                                int channels, int quality = 95);

/// Values of libtiff's tags.
struct TiffForm {
  int height = 1, width = 1, channels = 1, bits = 8;
  int format = 1;       // SAMPLEFORMAT_UINT
  int photometric = 1;  // PHOTOMETRIC_MINISBLACK; 2 is RGB
  int codec = 1;        // COMPRESSION_NONE
  int planar = 1;       // PLANARCONFIG_CONTIG
  int tile = 0;         // side of square tiles, 0 for strips
  int rows = 3;         // in a strip
  int pages = 1;
  bool big_endian = false;
};
/// `samples` [height, width, channels] of form.bits each, in this machine's byte order.
std::vector<uint8_t> tiff_bytes(const std::vector<uint8_t>& samples, const TiffForm& form);

std::string text_of(const std::vector<uint8_t>& bytes);

}  // namespace gliograd::test
