// Conversions between element types, scalar and whole tensors.
#pragma once
#include <vector>

#include "engine/tensor/tensor.hpp"
#include "kernels/half.hpp"

namespace gliograd {

/// f64 to 16 bits in one rounding, not by way of the nearest f32. From and to f32:
/// kernels/half.hpp.
bf16 to_bf16(double x);
f16 to_f16(double x);

/// `x` in another floating type (the same handle where it already has it). No gradient.
/// Errors: Error for integer types.
Tensor cast(const Tensor& x, DType dtype, int threads = 1);
/// to += x, elementwise; x is cast to the type of `to`. Shapes and layouts must agree.
void add_into(Tensor& to, const Tensor& x, int threads = 1);
/// to = x with a cast. Shapes and layouts must agree.
void copy_into(Tensor& to, const Tensor& x, int threads = 1);
/// One of many: to = x, or to += x.
struct Transfer {
  Tensor to, x;
  bool add = false;
};
/// copy_into() or add_into() of each. On a GPU one launch serves dozens; there `to` must be f32,
/// and none may share memory with another.
void transfer_all(std::vector<Transfer>& list, int threads = 1);
/// copy_into() from either device, of integers too where the types agree; `to` is in memory of
/// `stream`. Waits where the devices differ.
void copy_across(Stream& stream, Tensor& to, const Tensor& x);

}  // namespace gliograd
