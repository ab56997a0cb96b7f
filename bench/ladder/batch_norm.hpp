// The ladder of batch norm: one forward pass in training, with its ReLU, from a naive kernel to the
// one that this engine ships. Every rung computes all of it, in each float type.
#pragma once
#include <span>

#include "kernels/batch_norm.hpp"

namespace gliograd::ladder {

/// One forward pass. All pointers are the device's; those of one value a channel are [channels].
struct BatchNormPass {
  kernels::BatchNormShape shape;  // x and y: [rows, channels]
  const void* x = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  float eps = 0;
  // Out.
  kernels::BatchNormStats stats;      // of the batch; the backward pass wants them
  kernels::BatchNormRunning running;  // moved toward them
  void* y = nullptr;
  float* scratch = nullptr;  // batch_norm_pass_scratch() floats
};

/// What every rung finds room in.
int64_t batch_norm_pass_scratch(int64_t rows, int64_t channels);

struct BatchNormRung {
  const char* name;
  void (*run)(kernels::Queue, const BatchNormPass&);
  // Milliseconds that were expected of it, before any was measured, for x [128 * 112 * 112, 64] in
  // bf16 on an H200; how they were reckoned stands beside the kernel.
  double expected_ms;
};
/// From the naive one to the shipped one.
std::span<const BatchNormRung> batch_norm_rungs();

}  // namespace gliograd::ladder
