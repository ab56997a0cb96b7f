#include "apps/cli/png.hpp"

#include "engine/core/error.hpp"

// Static, so that another file of the program may hold the same library.
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace gliograd::cli {

std::vector<uint8_t> encode_png(const std::vector<uint8_t>& pixels, int64_t height, int64_t width,
                                int64_t channels) {
  GG_CHECK(channels == 1 || channels == 3, "encode_png: 1 or 3 channels; got ", channels);
  GG_CHECK(static_cast<int64_t>(pixels.size()) == height * width * channels,
           "encode_png: ", pixels.size(), " values for ", height, " x ", width, " x ", channels);
  std::vector<uint8_t> png;
  const auto append = [](void* context, void* data, int size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    auto* out = static_cast<std::vector<uint8_t>*>(context);
    out->insert(out->end(), bytes, bytes + size);
  };
  stbi_write_png_compression_level = 9;
  const int w = static_cast<int>(width), c = static_cast<int>(channels);
  if (stbi_write_png_to_func(append, &png, w, static_cast<int>(height), c, pixels.data(), w * c) ==
      0) {
    throw WorkError("a picture could not be encoded: out of memory");
  }
  return png;
}

}  // namespace gliograd::cli
