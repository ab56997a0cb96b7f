// A resident set of random bytes, for tests of batches.
#pragma once
#include <random>
#include <vector>

#include "engine/ops/augment.hpp"

namespace gliograd::simt {

/// Random bytes, blobs as masks.
struct Toy {
  std::vector<uint8_t> images, masks;
  std::vector<int32_t> patients;
  std::vector<ChannelScale> scales;
  ResidentSet set;

  Toy(int64_t slices, int64_t height, int64_t width, int64_t channels, uint64_t seed) {
    std::mt19937_64 random(seed);
    images.resize(static_cast<size_t>(slices * height * width * channels));
    for (uint8_t& v : images) v = static_cast<uint8_t>(random());
    for (int64_t i = 0; i < slices * height * width; ++i) {
      const int64_t y = i / width % height, x = i % width;
      masks.push_back((y - height / 2) * (y - height / 2) + (x - width / 2) * (x - width / 2) <
                              height * width / 9
                          ? 1
                          : 0);
    }
    for (int64_t i = 0; i < slices; ++i) patients.push_back(static_cast<int32_t>(i % 2));
    for (int64_t i = 0; i < 2 * channels; ++i) {
      scales.push_back(
          {0.02f + 0.001f * static_cast<float>(i), -1.5f - 0.1f * static_cast<float>(i)});
    }
    set = {images.data(), masks.data(), patients.data(),
           scales.data(), slices,       height,
           width,         channels,     2};
  }
};

inline InputSpec input_of(int channels, MaskUse mask, int32_t height, int32_t width) {
  InputSpec input;
  input.sequence_count = channels;
  for (int c = 0; c < channels; ++c) input.sequences[c] = channels - 1 - c;
  input.mask = mask;
  input.height = height;
  input.width = width;
  return input;
}

}  // namespace gliograd::simt
