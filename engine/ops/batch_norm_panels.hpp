// The inner loops of batch normalization on the CPU: one panel of at most 16 channels each, raw
// pointers. Only batch_norm.cpp includes this.
#pragma once
#include <cstdint>

#include "kernels/activation.hpp"
#include "kernels/base.hpp"

namespace gliograd::batch_norm_panels {

/// T, the type of the images, is float or bf16; all is computed in f32.
template <class T>
struct PanelArgs {
  const T* x;   // the panel's first value of each tensor
  const T* y;   // the output, for the sign of p
  const T* z;   // the residual, or null
  const T* dy;  // the gradient of y
  T* dz;        // written by sums(Sign::from_y)
  T* out;       // y, or dx
  int64_t rows, stride, width;
  // 16 numbers each, of the panel's channels:
  const float *mean, *scale, *beta;  // scale = gamma * rstd
  const float* mean_dp;              // sum of dp / M
  const float* slope_dp;             // rstd^2 * sum of dp * (x - mean) / M
  float slope;                       // of leaky_relu
};

/// Where the sign of p, what the activation sees, is taken from: nowhere (no activation), computed
/// again from x by the same arithmetic as forward (saves reading y), or y (a residual was added).
enum class Sign : uint8_t { none, from_x, from_y };

/// Mean and sum of squared deviations of each channel, by two passes over a slice in cache.
void moments(const float* x, int64_t rows, int64_t stride, int64_t width, float* mean, float* m2);
void moments(const bf16* x, int64_t rows, int64_t stride, int64_t width, float* mean, float* m2);
/// out = act((x - mean) * scale + beta + z).
void apply(const PanelArgs<float>& p, Activation activation);
void apply(const PanelArgs<bf16>& p, Activation activation);
/// Sums of dp and of dp * (x - mean) over the panel. With Sign::from_y it writes dp to p.dz.
void sums(const PanelArgs<float>& p, Sign sign, bool relu, float* sum, float* dot);
void sums(const PanelArgs<bf16>& p, Sign sign, bool relu, float* sum, float* dot);
/// out = dx. Never from y: with a residual, dp was written by sums() and is p.dy here.
void gradient(const PanelArgs<float>& p, Sign sign, bool relu);
void gradient(const PanelArgs<bf16>& p, Sign sign, bool relu);

}  // namespace gliograd::batch_norm_panels
