// A linear layer on a GPU: which kernels compute a pass. Only linear.cpp includes this.
#pragma once
#include "engine/tensor/tensor.hpp"

namespace gliograd::linear_cuda {

/// As linear(), whose checks have been made; bias may be undefined. With `relu` y is max(y, 0).
void forward(Stream& stream, const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu,
             Tensor& y);
/// dw and db are f32; an undefined gradient is not computed.
void backward(Stream& stream, const Tensor& x, const Tensor& weight, const Tensor& dy, Tensor& dx,
              Tensor& dw, Tensor& db);

}  // namespace gliograd::linear_cuda
