// Conversions between element types, scalar and whole tensors.
#pragma once
#include <bit>
#include <cstdint>

#include "engine/tensor/tensor.hpp"

namespace gliograd {

/// To 16 bits: the nearest value, ties to even, subnormals too; beyond the largest, infinity; NaN
/// stays NaN. From f64 in one rounding, not by way of the nearest f32.
inline float to_float(bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }
bf16 to_bf16(float x);
bf16 to_bf16(double x);
float to_float(f16 x);
f16 to_f16(float x);
f16 to_f16(double x);

/// `x` in another floating type (the same handle where it already has it). No gradient.
/// Errors: Error for integer types.
Tensor cast(const Tensor& x, DType dtype, int threads = 1);
/// to += x, elementwise; x is cast to the type of `to`. Shapes and layouts must agree.
void add_into(Tensor& to, const Tensor& x, int threads = 1);
/// to = x with a cast. Shapes and layouts must agree.
void copy_into(Tensor& to, const Tensor& x, int threads = 1);

}  // namespace gliograd
