#include "data/readers/tiff_writer.hpp"

#include <tiffio.h>

#include <filesystem>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

std::vector<uint8_t> read_back(const std::string& path, uint32_t height, uint32_t width,
                               uint16_t channels) {
  TIFF* tiff = TIFFOpen(path.c_str(), "r");
  REQUIRE(tiff != nullptr);
  uint32_t h = 0, w = 0;
  uint16_t samples = 0, bits = 0, codec = 0;
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &h);
  TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &w);
  TIFFGetField(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetField(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetField(tiff, TIFFTAG_COMPRESSION, &codec);
  CHECK(h == height);
  CHECK(w == width);
  CHECK(samples == channels);
  CHECK(bits == 8);
  CHECK(codec == COMPRESSION_ADOBE_DEFLATE);
  std::vector<uint8_t> pixels(static_cast<size_t>(h) * w * samples);
  CHECK(TIFFReadEncodedStrip(tiff, 0, pixels.data(), static_cast<tmsize_t>(pixels.size())) ==
        static_cast<tmsize_t>(pixels.size()));
  TIFFClose(tiff);
  return pixels;
}

}  // namespace

TEST_CASE("tiff writer: what was written comes back, gray and color, odd sizes") {
  const TempDir folder;
  for (const int channels : {1, 3}) {
    for (const auto& [h, w] : {std::pair{1, 1}, {7, 13}, {256, 256}}) {
      std::vector<uint8_t> pixels(static_cast<size_t>(h) * w * channels);
      for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 37 + i / 91);
      const std::string path = folder / "image.tif";
      write_tiff(path, pixels.data(), h, w, channels);
      CHECK(read_back(path, h, w, static_cast<uint16_t>(channels)) == pixels);
    }
  }
}

TEST_CASE("tiff writer: a full disk or a missing folder is a WorkError and leaves nothing") {
  const std::vector<uint8_t> pixels(3, 7);
  const TempDir folder;
  const std::string nowhere = folder / "no/image.tif";
  CHECK_THROWS_AS(write_tiff(nowhere, pixels.data(), 1, 1, 3), WorkError);
  CHECK(contains(error_of([&] { write_tiff(nowhere, pixels.data(), 1, 1, 3); }), nowhere));
  // /dev/full stands in for a full disk: every write to it fails with ENOSPC.
  const std::string full = folder / "full.tif";
  std::filesystem::create_symlink("/dev/full", full + ".partial");
  CHECK(contains(error_of([&] { write_tiff(full, pixels.data(), 1, 1, 3); }),
                 "No space left on device"));
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK(contains(error_of([&] { write_tiff(full, pixels.data(), 1, 1, 2); }), "1 or 3 channels"));
  CHECK(contains(error_of([&] { write_tiff(full, pixels.data(), 0, 1, 1); }), "0 x 1"));
}
