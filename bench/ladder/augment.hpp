// The ladder of the augmentation: a batch of images with given parameters, from a launch for each
// transform to the kernel that this engine ships. Every rung does all transforms, in each float
// type, and gives the bits of the CPU: the arithmetic is that of kernels/augment_map.hpp and
// kernels/augment_pixel.hpp on all of them; what changes is who computes what, and how often.
#pragma once
#include <span>

#include "kernels/augment.hpp"

namespace gliograd::ladder {

struct AugmentPass {
  kernels::AugmentBatch batch;  // its params are given, its state is null
  // Scratch: two of augment_values() floats, and a byte a pixel of the batch.
  float* planes = nullptr;
  uint8_t* inside = nullptr;
};

/// [images, sequences, height, width].
GG_HD inline int64_t augment_values(const kernels::AugmentBatch& batch) {
  return batch.images * batch.input.sequence_count * batch.input.height * batch.input.width;
}

struct AugmentRung {
  const char* name;
  void (*run)(kernels::Queue, const AugmentPass&);
  // Milliseconds that were expected of it, before any was measured, for 32 images of 256 x 256 in
  // bf16 on an H200, by preset; how they were reckoned stands beside the kernel.
  double expected_light_ms, expected_full_ms;
};
/// From the naive one to the shipped one. Errors: DeviceError for a batch of 2^31 values or more.
std::span<const AugmentRung> augment_rungs();

}  // namespace gliograd::ladder
