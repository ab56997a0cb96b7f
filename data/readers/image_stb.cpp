// decode_png_or_jpeg: stb_image, and the checks that it leaves out: checksums and the end of the
// file.
#include <zlib.h>

#include <cstring>
#include <memory>

#include "data/readers/image.hpp"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 32768
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace gliograd::data {
namespace {

uint32_t big_endian(const uint8_t* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

/// Every chunk's checksum, and IEND at the end: stb_image looks at neither.
void check_png(const std::vector<uint8_t>& bytes) {
  size_t at = 8;
  while (bytes.size() - at >= 12) {
    const uint8_t* chunk = bytes.data() + at;
    const uint64_t length = big_endian(chunk);
    if (length > bytes.size() - at - 12) break;
    const uint8_t* data = chunk + 8;
    const uLong sum = ::crc32_z(0, chunk + 4, length + 4);
    if (sum != big_endian(data + length)) throw Error("damaged: a checksum is wrong");
    if (std::memcmp(chunk + 4, "IEND", 4) == 0) return;
    at += 12 + length;
  }
  throw Error("damaged: it ends too early");
}

/// The Huffman tables of one segment (ITU T.81, B.2.4.2): no more than 256 codes each, all there.
/// stb_image writes past its own table where a file says more.
void check_huffman(const uint8_t* at, size_t left) {
  while (left > 0) {
    size_t codes = 0;
    for (size_t i = 1; i <= 16 && left >= 17; ++i) codes += at[i];
    if (left < 17 + codes || codes > 256) throw Error("damaged: a Huffman table is no table");
    at += 17 + codes;
    left -= 17 + codes;
  }
}

/// The end-of-image marker, looked for from segment to segment; in a scan's data 0xff is followed
/// by 0 where it is no marker. stb_image makes up gray pixels for what is missing.
void check_jpeg(const std::vector<uint8_t>& bytes) {
  size_t at = 2;
  while (at + 1 < bytes.size()) {
    if (bytes[at] != 0xff) {
      ++at;
      continue;
    }
    const uint8_t marker = bytes[at + 1];
    if (marker == 0xd9) return;
    if (marker == 0xff) {  // fill
      ++at;
    } else if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
    } else {
      if (at + 3 >= bytes.size()) break;
      const size_t length = static_cast<size_t>(bytes[at + 2]) << 8 | bytes[at + 3];
      if (marker == 0xc4) {
        if (length < 2 || at + 2 + length > bytes.size()) break;
        check_huffman(bytes.data() + at + 4, length - 2);
      }
      at += 2 + std::max<size_t>(2, length);
    }
  }
  throw Error("damaged: it ends too early");
}

struct Free {
  void operator()(void* pixels) const { stbi_image_free(pixels); }
};

}  // namespace

Image decode_png_or_jpeg(const std::vector<uint8_t>& bytes) {
  if (bytes.size() < 16) throw Error("damaged: it ends too early");
  if (bytes[0] == 0x89) {
    check_png(bytes);
  } else {
    check_jpeg(bytes);
  }
  const auto size = static_cast<int>(std::min<size_t>(bytes.size(), 1u << 30));
  int width = 0, height = 0, channels = 0;
  if (stbi_info_from_memory(bytes.data(), size, &width, &height, &channels) == 0) {
    throw Error(std::string("damaged: ") + stbi_failure_reason());
  }
  const bool deep = stbi_is_16_bit_from_memory(bytes.data(), size) != 0;
  check_image_size(height, width, channels, deep ? 2 : 1);
  const std::unique_ptr<void, Free> pixels(
      deep ? static_cast<void*>(
                 stbi_load_16_from_memory(bytes.data(), size, &width, &height, &channels, 0))
           : stbi_load_from_memory(bytes.data(), size, &width, &height, &channels, 0));
  if (pixels == nullptr) throw Error(std::string("damaged: ") + stbi_failure_reason());
  Image image{height, width, channels, deep ? SampleType::u16 : SampleType::u8, {}};
  const auto* first = static_cast<const uint8_t*>(pixels.get());
  image.bytes.assign(first, first + image.height * image.width * channels * (deep ? 2 : 1));
  return image;
}

}  // namespace gliograd::data
