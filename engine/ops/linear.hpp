// Fully connected layer.
#pragma once
#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

/// y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i].
/// Shapes  x [N, in]; weight [out, in]; bias [out] or undefined; y [N, out].
/// Grads   x, weight, bias.
/// Paths   f64 reference; f32 on the CPU by the packed product of kernels/cpu; on a GPU cuBLASLt
/// with
///         the bias in its epilogue, or kernels of any shape (kernels/linear.hpp).
/// Errors  Error when a rank, a length or a type disagrees.
Tensor linear(Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace gliograd
