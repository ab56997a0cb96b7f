// Batch normalization on a GPU: the launches of one forward and one backward pass. x is [rows, C]
// row by row (NHWC, a row being a pixel), in f32, bf16 or f16; all that is one value a channel, and
// all arithmetic, is f32; what crosses blocks is joined in f64 in a fixed order, so the bits do not
// depend on how the GPU schedules.
//
// Passes over memory, the fewest there are without keeping the map on the chip: forward reads x
// twice and writes y (and reads z once); backward reads x and dy twice and writes dx.
#pragma once
#include "kernels/activation.hpp"
#include "kernels/entry.hpp"

namespace gliograd::kernels {

struct BatchNormShape {
  int64_t rows = 0;
  int64_t channels = 0;  // at most 131,072, or 262,144 of which 8 are a divisor
  DType dtype = DType::f32;
  Activation activation = Activation::none;
  float slope = 0;  // of leaky_relu
};

/// Floats of scratch memory that moments and sums need: two for each channel of each block.
int64_t batch_norm_scratch(int64_t rows, int64_t channels);

/// What normalizes, one value a channel.
struct BatchNormStats {
  float* mean = nullptr;
  float* rstd = nullptr;  // 1 / sqrt(var + eps)
};

struct BatchNormRunning {
  float* mean = nullptr;
  float* var = nullptr;  // unbiased
  float momentum = 0;    // weight of the new batch
};

/// mean and rstd of x, and the running statistics moved toward them.
inline const Entry<void(Queue, const BatchNormShape&, const void* x, float* scratch, float eps,
                        BatchNormStats, BatchNormRunning)>
    batch_norm_moments{"batch_norm_moments"};

/// mean and rstd from the running statistics.
inline const Entry<void(Queue, int64_t channels, BatchNormRunning, float eps, BatchNormStats)>
    batch_norm_from_running{"batch_norm_from_running"};

/// y = act(gamma * (x - mean) * rstd + beta + z). z may be null; y may be x or z.
inline const Entry<void(Queue, const BatchNormShape&, const void* x, const void* z, BatchNormStats,
                        const float* gamma, const float* beta, void* y)>
    batch_norm_apply{"batch_norm_apply"};

struct BatchNormGradient {
  const void* x = nullptr;
  const void* dy = nullptr;
  // The forward pass's result, which tells where the activation was cut; null where there was no
  // residual: then x tells.
  const void* y = nullptr;
  BatchNormStats stats;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  bool train = true;  // mean and rstd depend on x
  // Out. dz = dp, the gradient in front of the activation, and may be dy; null where nobody asks.
  // dx may be dy where dz is null. Null dx: only the others.
  void* dz = nullptr;
  void* dx = nullptr;
  float* dgamma = nullptr;
  float* dbeta = nullptr;
};
/// scratch: batch_norm_scratch() and then two floats a channel.
inline const Entry<void(Queue, const BatchNormShape&, const BatchNormGradient&, float* scratch)>
    batch_norm_backward{"batch_norm_backward"};

}  // namespace gliograd::kernels
