#include "data/readers/image.hpp"

#include <tiffio.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "tests/support/image_files.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

std::vector<uint8_t> random_bytes(std::mt19937_64& random, int count) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

std::string decode_error(const std::vector<uint8_t>& bytes) {
  return error_of([&] { decode_image(bytes); });
}

/// Little-endian TIFF with the given tags, (tag, type, count, value) each.
std::vector<uint8_t> tiff_header(const std::vector<std::array<uint32_t, 4>>& tags) {
  std::vector<uint8_t> out = {'I', 'I', 42, 0, 8, 0, 0, 0};
  const auto put = [&](uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<uint8_t>(value >> 8 * i));
  };
  put(static_cast<uint32_t>(tags.size()), 2);
  for (const auto& [tag, type, count, value] : tags) {
    put(tag, 2);
    put(type, 2);
    put(count, 4);
    put(value, 4);
  }
  put(0, 4);
  return out;
}

}  // namespace

TEST_CASE("image: TIFF of every codec, strips and tiles, planes and byte orders") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  int compared = 0;
  for (const int codec : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE,
                          COMPRESSION_PACKBITS, COMPRESSION_ZSTD, COMPRESSION_LZMA}) {
    if (TIFFIsCODECConfigured(static_cast<uint16_t>(codec)) == 0) continue;
    for (const int channels : {1, 3, 4}) {
      for (const int tile : {0, 16}) {
        for (const int planar : {PLANARCONFIG_CONTIG, PLANARCONFIG_SEPARATE}) {
          TiffForm form{.height = 19, .width = 21, .channels = channels};
          form.photometric = channels == 1 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB;
          form.codec = codec;
          form.tile = tile;
          form.planar = planar;
          form.big_endian = random() % 2 == 0;
          form.rows = 1 + static_cast<int>(random() % 25);
          const std::vector<uint8_t> pixels = random_bytes(random, 19 * 21 * channels);
          INFO("codec ", codec, " channels ", channels, " tile ", tile, " planar ", planar);
          const Image image = decode_image(tiff_bytes(pixels, form));
          CHECK(image.height == 19);
          CHECK(image.width == 21);
          CHECK(image.channels == channels);
          CHECK(image.type == SampleType::u8);
          CHECK(image.bytes == pixels);
          ++compared;
        }
      }
    }
  }
  CHECK(compared >= 48);
}

TEST_CASE("image: WebP in TIFF, as the small copy of the real set has it, is lossless") {
  if (TIFFIsCODECConfigured(COMPRESSION_WEBP) == 0) return skip("image: WebP", "libtiff lacks it");
  const auto folder = real_data("lgg/TCGA_CS_4941_19960909", "image: WebP");
  if (!folder) return;
  ImageDecoder decoder;
  const Image image = decoder.decode(*folder + "/TCGA_CS_4941_19960909_12.tif");
  CHECK(image.kind() == "256x256, 3 channels, 8-bit");
  CHECK(decoder.decode(*folder + "/TCGA_CS_4941_19960909_12_mask.tif").kind() ==
        "256x256, 1 channel, 8-bit");
}

TEST_CASE("image: TIFF of 16 and 32 bits, signed, unsigned and float") {
  const uint16_t unsigned16[] = {0, 1, 256, 65535};
  const int16_t signed16[] = {0, -1, 300, -32768};
  const uint32_t unsigned32[] = {0, 1, 65536, 4000000000};
  const int32_t signed32[] = {0, -5, 70000, -2000000000};
  const float float32[] = {0, -1.5f, 1e30f, 0.1f};
  const auto decode = [](const void* samples, int bits, int format) {
    std::vector<uint8_t> bytes(static_cast<size_t>(bits / 2));
    std::memcpy(bytes.data(), samples, bytes.size());
    for (const bool big_endian : {true, false}) {
      Image image = decode_image(tiff_bytes(bytes, {.height = 2,
                                                    .width = 2,
                                                    .channels = 1,
                                                    .bits = bits,
                                                    .format = format,
                                                    .rows = 2,
                                                    .big_endian = big_endian}));
      if (!big_endian) return image;
      CHECK(image.height == 2);
    }
    return Image{};
  };
  const Image a = decode(unsigned16, 16, SAMPLEFORMAT_UINT);
  CHECK(a.type == SampleType::u16);
  CHECK(std::equal(unsigned16, unsigned16 + 4, a.u16()));
  const auto check_f32 = [](const Image& image, const auto* values) {
    CHECK(image.type == SampleType::f32);
    REQUIRE(image.bytes.size() == 16);
    for (int i = 0; i < 4; ++i) CHECK(image.f32()[i] == static_cast<float>(values[i]));
  };
  check_f32(decode(signed16, 16, SAMPLEFORMAT_INT), signed16);
  check_f32(decode(unsigned32, 32, SAMPLEFORMAT_UINT), unsigned32);
  check_f32(decode(signed32, 32, SAMPLEFORMAT_INT), signed32);
  check_f32(decode(float32, 32, SAMPLEFORMAT_IEEEFP), float32);
  const int8_t signed8[] = {0, -1, 100, -128};  // as RGB these would be other numbers
  CHECK_THROWS_WITH_AS(decode(signed8, 8, SAMPLEFORMAT_INT),
                       doctest::Contains("has 8 bits a sample, sample format 2"), Error);
}

TEST_CASE("image: TIFF whose white is zero is turned round") {
  const std::vector<uint8_t> pixels = {0, 10, 255};
  const Image image = decode_image(
      tiff_bytes(pixels, {.height = 1, .width = 3, .photometric = PHOTOMETRIC_MINISWHITE}));
  CHECK(image.bytes == std::vector<uint8_t>{255, 245, 0});
}

TEST_CASE("image: PNG comes back exactly, JPEG nearly, told by content and not by name") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  for (const int channels : {1, 2, 3, 4}) {
    const std::vector<uint8_t> pixels = random_bytes(random, 7 * 9 * channels);
    const Image image = decode_image(png_bytes(pixels, 7, 9, channels));
    CHECK(image.height == 7);
    CHECK(image.width == 9);
    CHECK(image.channels == channels);
    CHECK(image.bytes == pixels);
  }
  std::vector<uint8_t> smooth;
  for (int y = 0; y < 24; ++y) {
    for (int x = 0; x < 17; ++x)
      smooth.insert(smooth.end(), 3, static_cast<uint8_t>(5 * y + 4 * x));
  }
  const Image image = decode_image(jpeg_bytes(smooth, 24, 17, 3));
  REQUIRE(image.kind() == "17x24, 3 channels, 8-bit");
  for (size_t i = 0; i < smooth.size(); ++i) CHECK(std::abs(image.bytes[i] - smooth[i]) <= 6);
}

TEST_CASE("image: in a worker the same pixels, and errors that name the file") {
  const TempDir folder;
  std::mt19937_64 random(5);
  const std::vector<uint8_t> pixels = random_bytes(random, 30 * 40 * 3);
  write_file(folder / "a.tif", text_of(png_bytes(pixels, 30, 40, 3)));
  ImageDecoder decoder;
  const Image image = decoder.decode(folder / "a.tif");
  CHECK(image.bytes == pixels);
  CHECK(image.height == 30);
  write_file(folder / "b.tif", "");
  CHECK(error_of([&] { decoder.decode(folder / "b.tif"); }) == (folder / "b.tif") + ": is empty");
  write_file(folder / "b.tif", "GIF89a and more");
  CHECK(error_of([&] { decoder.decode(folder / "b.tif"); }) ==
        (folder / "b.tif") + ": is no TIFF, PNG or JPEG image");
  CHECK(contains(error_of([&] { decoder.decode(folder / "c.tif"); }), "No such file or directory"));
  CHECK(contains(error_of([&] { decoder.decode(folder.path().string()); }), "is a folder"));
  CHECK(decoder.decode(folder / "a.tif").bytes == pixels);
}

TEST_CASE("image: a file cut anywhere is damaged") {
  std::mt19937_64 random(6);
  const std::vector<uint8_t> pixels = random_bytes(random, 20 * 20 * 3);
  TiffForm form{.height = 20, .width = 20, .channels = 3};
  form.photometric = PHOTOMETRIC_RGB;
  form.codec = COMPRESSION_ADOBE_DEFLATE;
  for (const std::vector<uint8_t>& whole :
       {tiff_bytes(pixels, form), png_bytes(pixels, 20, 20, 3), jpeg_bytes(pixels, 20, 20, 3)}) {
    for (size_t size = 1; size < whole.size(); size += 1 + random() % 40) {
      const std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<int64_t>(size));
      INFO("kept ", size, " of ", whole.size(), " bytes; begins with ", whole[0]);
      CHECK_THROWS_AS(decode_image(cut), Error);
    }
  }
}

TEST_CASE("image: one flipped bit in a PNG is noticed, wherever it is") {
  std::mt19937_64 random(7);
  const std::vector<uint8_t> whole = png_bytes(random_bytes(random, 64), 8, 8, 1);
  for (size_t byte = 0; byte < whole.size(); ++byte) {
    std::vector<uint8_t> bytes = whole;
    bytes[byte] = static_cast<uint8_t>(bytes[byte] ^ 1 << random() % 8);
    INFO("byte ", byte);
    CHECK_THROWS_AS(decode_image(bytes), Error);
  }
}

TEST_CASE("image: a JPEG whose Huffman table has too many codes is damaged, not written past") {
  std::vector<uint8_t> bytes = jpeg_bytes(std::vector<uint8_t>(64, 9), 8, 8, 1);
  const uint8_t marker[] = {0xff, 0xc4};
  const auto table = std::search(bytes.begin(), bytes.end(), marker, marker + 2);
  REQUIRE(table != bytes.end());
  std::fill_n(table + 5, 16, uint8_t{255});
  CHECK(decode_error(bytes) == "damaged: a Huffman table is no table");
}

TEST_CASE("image: sizes that cannot be are refused before memory is taken") {
  // width, height, 8 bits, no compression, gray, one strip at 0 of 1 byte.
  const auto with_size = [](uint32_t width, uint32_t height) {
    return tiff_header({{256, 4, 1, width},
                        {257, 4, 1, height},
                        {258, 3, 1, 8},
                        {259, 3, 1, 1},
                        {262, 3, 1, 1},
                        {273, 4, 1, 8},
                        {278, 4, 1, height},
                        {279, 4, 1, 1}});
  };
  CHECK_THROWS_AS(decode_image(with_size(4000000000u, 4000000000u)), Error);  // libtiff's own limit
  CHECK(contains(decode_error(with_size(100000, 100000)), "is too large"));
  CHECK(contains(decode_error(with_size(32768, 32768)), "is too large"));
  CHECK(contains(decode_error(with_size(0, 5)), "damaged"));
  CHECK(contains(decode_error(with_size(10000, 10000)), "damaged"));  // allowed, but not in there
  std::vector<uint8_t> png = png_bytes({1, 2, 3, 4}, 2, 2, 1);
  png[16] = 0x7f;  // the width's first byte; its checksum no longer fits
  CHECK(contains(decode_error(png), "checksum"));
}

TEST_CASE("image: several pages and codecs we do not have are named") {
  CHECK(contains(decode_error(tiff_bytes({1}, {.pages = 2})), "several pages"));
  CHECK(contains(decode_error(tiff_header({{256, 4, 1, 1},
                                           {257, 4, 1, 1},
                                           {258, 3, 1, 8},
                                           {259, 3, 1, 31337},
                                           {262, 3, 1, 1},
                                           {273, 4, 1, 8},
                                           {279, 4, 1, 1}})),
                 "codec that this libtiff lacks (31337)"));
  CHECK(contains(decode_error(tiff_bytes(std::vector<uint8_t>(8), {.bits = 64, .format = 3})),
                 "has 64 bits a sample"));
}
