// A resident set of random bytes, and what is made of it, for tests of batches.
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

/// Every transform, each of them likely.
inline AugmentOptions everything() {
  AugmentOptions o;
  o.flip_y_probability = o.flip_x_probability = o.quarter_turn_probability = 0.5f;
  o.rotation_probability = 0.7f, o.rotation_degrees = 30;
  o.scale_probability = 0.7f, o.scale_percent = 20;
  o.stretch_probability = 0.5f, o.stretch_percent = 10;
  o.shear_probability = 0.5f, o.shear_degrees = 8;
  o.translation_probability = 0.5f, o.translation_pixels = 4;
  o.elastic_probability = 0.6f, o.elastic_pixels = 3, o.elastic_spacing_pixels = 7;
  o.brightness_probability = 0.5f, o.brightness_percent = 20;
  o.contrast_probability = 0.5f, o.contrast_percent = 20;
  o.gamma_probability = 0.5f, o.gamma_percent = 30;
  o.bias_probability = 0.5f, o.bias_percent = 30;
  o.rician_probability = 0.5f, o.rician_percent = 10;
  o.noise_probability = 0.5f, o.noise_percent = 10;
  o.blur_probability = 0.5f, o.blur_pixels = 1.5f;
  o.low_resolution_probability = 0.5f, o.low_resolution_factor = 2.5f;
  o.cutout_probability = 0.4f, o.cutout_percent = 30;
  o.drop_probability = 0.2f;
  return o;
}

}  // namespace gliograd::simt
