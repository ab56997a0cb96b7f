// Batch normalization on the CPU, panel by panel. Each entry is compiled for every instruction set
// (GG_MULTIVERSION) with the templates above it inlined.
#include "engine/ops/batch_norm_panels.hpp"

#include "engine/core/simd.hpp"
#include "engine/ops/lanes.hpp"

namespace gliograd::batch_norm_panels {
namespace {

using lanes::F32x16;

template <Activation kActivation, bool kResidual, class T>
GG_INLINE void apply_rows(const PanelArgs<T>& p) {
  F32x16 mean, scale, beta, slope, v, z;
  lanes::load(mean, p.mean);
  lanes::load(scale, p.scale);
  lanes::load(beta, p.beta);
  slope = lanes::all(p.slope);
  for (int64_t i = 0; i < p.rows; ++i) {
    lanes::load(v, p.x + i * p.stride, p.width);
    v = (v - mean) * scale + beta;
    if constexpr (kResidual) {
      lanes::load(z, p.z + i * p.stride, p.width);
      v += z;
    }
    if constexpr (kActivation == Activation::relu) v = lanes::replace_negative(v, F32x16{});
    if constexpr (kActivation == Activation::leaky_relu) v = lanes::replace_negative(v, v * slope);
    lanes::store(p.out + i * p.stride, v, p.width);
  }
}

// dp = dy * act'(p), where `dp` comes in as dy. `centered` is x - mean.
template <Sign kSign, bool kRelu, class T>
GG_INLINE void activation_gradient(F32x16& dp, const F32x16& centered, const F32x16& scale,
                                   const F32x16& beta, const F32x16& slope, const T* y,
                                   int64_t width) {
  if constexpr (kSign != Sign::none) {
    F32x16 sign;
    if constexpr (kSign == Sign::from_x) {
      sign = centered * scale + beta;
    } else {
      lanes::load(sign, y, width);
    }
    dp = lanes::where_positive(sign, dp, kRelu ? F32x16{} : dp * slope);
  }
}

template <Sign kSign, bool kRelu, bool kStore, class T>
GG_INLINE void sum_rows(const PanelArgs<T>& p, float* sum_out, float* dot_out) {
  F32x16 mean, scale, beta, slope;
  lanes::load(mean, p.mean);
  lanes::load(scale, p.scale);
  lanes::load(beta, p.beta);
  slope = lanes::all(p.slope);
  F32x16 sum[2] = {}, dot[2] = {};
  const auto row = [&](int64_t i, F32x16 & s, F32x16 & d) __attribute__((always_inline)) {
    const int64_t at = i * p.stride;
    F32x16 x, dp;
    lanes::load(x, p.x + at, p.width);
    lanes::load(dp, p.dy + at, p.width);
    x = x - mean;
    activation_gradient<kSign, kRelu>(dp, x, scale, beta, slope, p.y + at, p.width);
    if constexpr (kStore) lanes::store(p.dz + at, dp, p.width);
    s += dp;
    d += dp * x;
  };
  int64_t i = 0;
  for (; i + 2 <= p.rows; i += 2) {
    row(i, sum[0], dot[0]);
    row(i + 1, sum[1], dot[1]);
  }
  if (i < p.rows) row(i, sum[0], dot[0]);
  lanes::store(sum_out, sum[0] + sum[1]);
  lanes::store(dot_out, dot[0] + dot[1]);
}

template <Sign kSign, bool kRelu, class T>
GG_INLINE void gradient_rows(const PanelArgs<T>& p) {
  F32x16 mean, scale, beta, slope, mean_dp, slope_dp, x, dp;
  lanes::load(mean, p.mean);
  lanes::load(scale, p.scale);
  lanes::load(beta, p.beta);
  lanes::load(mean_dp, p.mean_dp);
  lanes::load(slope_dp, p.slope_dp);
  slope = lanes::all(p.slope);
  for (int64_t i = 0; i < p.rows; ++i) {
    const int64_t at = i * p.stride;
    lanes::load(x, p.x + at, p.width);
    lanes::load(dp, p.dy + at, p.width);
    x = x - mean;
    activation_gradient<kSign, kRelu>(dp, x, scale, beta, slope, p.x, p.width);  // y is not read
    lanes::store(p.out + at, scale * (dp - mean_dp - x * slope_dp), p.width);
  }
}

template <class T>
GG_INLINE void moments_of(const T* x, int64_t rows, int64_t stride, int64_t width, float* mean_out,
                          float* m2_out) {
  F32x16 sum[4] = {}, v, mean;
  const auto add = [&](int64_t i, F32x16 & to) __attribute__((always_inline)) {
    lanes::load(v, x + i * stride, width);
    to += v;
  };
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    add(i, sum[0]);
    add(i + 1, sum[1]);
    add(i + 2, sum[2]);
    add(i + 3, sum[3]);
  }
  for (; i < rows; ++i) add(i, sum[0]);
  mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / static_cast<float>(rows);
  F32x16 square[4] = {};
  const auto add_square = [&](int64_t i, F32x16 & to) __attribute__((always_inline)) {
    lanes::load(v, x + i * stride, width);
    to += (v - mean) * (v - mean);
  };
  for (i = 0; i + 4 <= rows; i += 4) {
    add_square(i, square[0]);
    add_square(i + 1, square[1]);
    add_square(i + 2, square[2]);
    add_square(i + 3, square[3]);
  }
  for (; i < rows; ++i) add_square(i, square[0]);
  lanes::store(mean_out, mean);
  lanes::store(m2_out, (square[0] + square[1]) + (square[2] + square[3]));
}

template <class T>
GG_INLINE void apply_to(const PanelArgs<T>& p, Activation activation) {
  const bool residual = p.z != nullptr;
  switch (activation) {
    case Activation::none:
      residual ? apply_rows<Activation::none, true>(p) : apply_rows<Activation::none, false>(p);
      break;
    case Activation::relu:
      residual ? apply_rows<Activation::relu, true>(p) : apply_rows<Activation::relu, false>(p);
      break;
    case Activation::leaky_relu:
      residual ? apply_rows<Activation::leaky_relu, true>(p)
               : apply_rows<Activation::leaky_relu, false>(p);
      break;
  }
}

template <class T>
GG_INLINE void sums_of(const PanelArgs<T>& p, Sign sign, bool relu, float* sum, float* dot) {
  if (sign == Sign::none) {
    sum_rows<Sign::none, false, false>(p, sum, dot);
  } else if (sign == Sign::from_x) {
    relu ? sum_rows<Sign::from_x, true, false>(p, sum, dot)
         : sum_rows<Sign::from_x, false, false>(p, sum, dot);
  } else {
    relu ? sum_rows<Sign::from_y, true, true>(p, sum, dot)
         : sum_rows<Sign::from_y, false, true>(p, sum, dot);
  }
}

template <class T>
GG_INLINE void gradient_of(const PanelArgs<T>& p, Sign sign, bool relu) {
  if (sign == Sign::none) {
    gradient_rows<Sign::none, false>(p);
  } else {
    relu ? gradient_rows<Sign::from_x, true>(p) : gradient_rows<Sign::from_x, false>(p);
  }
}

}  // namespace

// ---- the entries: one a type, cloned for every instruction set ---------------------------------

GG_MULTIVERSION void moments(const float* x, int64_t rows, int64_t stride, int64_t width,
                             float* mean, float* m2) {
  moments_of(x, rows, stride, width, mean, m2);
}
GG_MULTIVERSION void moments(const bf16* x, int64_t rows, int64_t stride, int64_t width,
                             float* mean, float* m2) {
  moments_of(x, rows, stride, width, mean, m2);
}

GG_MULTIVERSION void apply(const PanelArgs<float>& p, Activation activation) {
  apply_to(p, activation);
}

GG_MULTIVERSION void apply(const PanelArgs<bf16>& p, Activation activation) {
  apply_to(p, activation);
}

GG_MULTIVERSION void sums(const PanelArgs<float>& p, Sign sign, bool relu, float* sum, float* dot) {
  sums_of(p, sign, relu, sum, dot);
}

GG_MULTIVERSION void sums(const PanelArgs<bf16>& p, Sign sign, bool relu, float* sum, float* dot) {
  sums_of(p, sign, relu, sum, dot);
}

GG_MULTIVERSION void gradient(const PanelArgs<float>& p, Sign sign, bool relu) {
  gradient_of(p, sign, relu);
}

GG_MULTIVERSION void gradient(const PanelArgs<bf16>& p, Sign sign, bool relu) {
  gradient_of(p, sign, relu);
}

}  // namespace gliograd::batch_norm_panels
