// Fully connected layer.
#pragma once
#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"
#include "kernels/activation.hpp"

namespace gliograd {

/// y[n, o] = act(bias[o] + sum over i of weight[o, i] * x[n, i]).
/// Shapes  x [N, in]; weight [out, in]; bias [out] or undefined; y [N, out].
/// Grads   x, weight, bias.
/// Paths   f64 reference; f32 on the CPU by the packed product of kernels/cpu; on a GPU cuBLASLt
///         with bias and ReLU in its epilogue or in a launch behind it, or kernels of any shape
///         (kernels/linear.hpp).
/// Errors  Error when a rank, a length or a type disagrees, or for an activation other than none
///         and relu.
Tensor linear(Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& bias,
              Activation activation = Activation::none);

}  // namespace gliograd
