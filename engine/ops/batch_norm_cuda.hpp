// Batch normalization on a GPU: tensors in, launches of kernels/batch_norm.hpp out.
#pragma once
#include "engine/device/stream.hpp"
#include "engine/ops/batch_norm.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd::batch_norm_cuda {

/// y, and in `mean` and `rstd` [C] what normalized it; in train the running statistics move.
void forward(Stream& stream, const Tensor& x, const Tensor& gamma, const Tensor& beta,
             RunningStats& running, const BatchNormOptions& options, Tensor& mean, Tensor& rstd,
             Tensor& y);

struct Saved {
  Tensor x, gamma, beta, mean, rstd;
  Tensor y;  // undefined where x tells the sign of what the activation saw
  Activation activation = Activation::none;
  double slope = 0;
  bool train = true;
  bool residual = false;
};

/// Gradients of x (where asked for), gamma and beta, and of the residual where there was one.
void backward(Stream& stream, const Saved& saved, const Tensor& dy, bool needs_dx, Tensor& dx,
              Tensor& dgamma, Tensor& dbeta, Tensor& dz);

}  // namespace gliograd::batch_norm_cuda
