// What the paths of a convolution share: its numbers, and the calls that conv.cpp chooses between.
// Only conv*.cpp, their tests and their bench include this.
#pragma once
#include <cstdint>

#include "engine/ops/conv.hpp"

namespace gliograd::conv_paths {

/// A convolution in numbers. Input pixel of output (i, j) and tap (r, s):
/// (i * stride - top + r * dilation, j * stride - left + s * dilation).
struct Geometry {
  int64_t n, h, w, ci;  // x
  int64_t co, kh, kw;   // weight; cg channels of x each
  int64_t ho, wo;       // y
  int64_t stride, dilation, groups;
  Padding pad;

  int64_t cg() const { return ci / groups; }
  int64_t og() const { return co / groups; }
  int64_t taps() const { return kh * kw; }
  /// Multiplications and additions of the forward pass.
  double ops() const { return 2.0 * n * ho * wo * co * taps() * cg(); }
  bool operator==(const Geometry&) const = default;
};

/// Checks all that the contract of conv() promises.
Geometry geometry_of(const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const ConvOptions& options);

/// The project's own kernels, f32 NHWC. `bias` may be undefined.
void forward_own(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                 const Tensor& bias, Tensor& y);
void backward_data_own(Stream& stream, const Geometry& g, const Tensor& dy, const Tensor& weight,
                       Tensor& dx);
void backward_weights_own(Stream& stream, const Geometry& g, const Tensor& dy, const Tensor& x,
                          Tensor& dw);
/// db[o] = sum of dy[..., o] over all pixels.
void backward_bias_own(Stream& stream, const Geometry& g, const Tensor& dy, Tensor& db);

}  // namespace gliograd::conv_paths
