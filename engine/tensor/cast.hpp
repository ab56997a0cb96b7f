// Conversions between element types, scalar and whole tensors.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "engine/tensor/tensor.hpp"

namespace gliograd {

inline float to_float(bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }
/// Nearest, ties to even; NaN stays NaN.
bf16 to_bf16(float x);
float to_float(f16 x);
/// Nearest, ties to even; beyond 65504 becomes infinity; NaN stays NaN.
f16 to_f16(float x);

/// `x` in another floating type (the same handle where it already has it). No gradient.
/// Errors: Error for integer types.
Tensor cast(const Tensor& x, DType dtype, int threads = 1);
/// to += x, elementwise; x is cast to the type of `to`. Shapes and layouts must agree.
void add_into(Tensor& to, const Tensor& x, int threads = 1);
/// to = x with a cast. Shapes and layouts must agree.
void copy_into(Tensor& to, const Tensor& x, int threads = 1);

}  // namespace gliograd
