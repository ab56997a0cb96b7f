// Pooling: the largest or mean value of each window, channel by channel.
#pragma once
#include <cstdint>

#include "engine/autograd/tape.hpp"
#include "engine/ops/padding.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

struct PoolOptions {
  int64_t kernel = 2;  // side of the square window, pixels
  int64_t stride = 2;  // pixels between windows, both axes
  Padding pad = {};    // each side below `kernel`, so that every window meets the image
};

struct AveragePoolOptions {
  int64_t kernel = 2;
  int64_t stride = 2;
  Padding pad = {};
  /// Whether the zeros of the padding count: the divisor is kernel^2, else the number of pixels of
  /// the image in the window.
  bool count_padding = true;
};

/// y[n, i, j, c] = the largest x[n, i * stride - top + r, j * stride - left + s, c] inside the
/// image, over 0 <= r, s < kernel. NaN wins over every number.
/// Shapes  x [N, H, W, C], in either layout; y [N, Ho, Wo, C],
///         Ho = (H + top + bottom - kernel) / stride + 1, rounded down.
/// Grads   x: dy goes to the first of equal largest values in row order (to the last NaN).
/// Saves   one byte an output: which tap won.
/// Paths   f64 reference; f32 on the CPU; kernels/pool.hpp on a GPU.
/// Errors  Error when x is not 4-D, when kernel is not 1 to 15 or stride not positive, when a side
///         of the padding is negative or not below kernel, or when the window is larger than the
///         padded image.
Tensor max_pool(Tape& tape, const Tensor& x, const PoolOptions& options = {});

/// The mean in place of the largest value. Shapes, paths and errors as max_pool; saves nothing.
/// Grads   x: dy / divisor to each pixel of the window.
Tensor average_pool(Tape& tape, const Tensor& x, const AveragePoolOptions& options = {});

/// y[n, c] = mean of x[n, :, :, c].
/// Shapes  x [N, H, W, C], in either layout; y [N, C].
/// Grads   x: dy / (H * W).
/// Source  Lin, Chen & Yan 2013, arXiv:1312.4400, section 3.2.
Tensor global_average_pool(Tape& tape, const Tensor& x);

}  // namespace gliograd
