// Batch normalization with what follows it in most networks: a residual sum and an activation.
#pragma once
#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"
#include "kernels/activation.hpp"

namespace gliograd {

/// What evaluation normalizes with: f32, or f64 in a network built for the reference.
struct RunningStats {
  Tensor mean;  // [C]
  Tensor var;   // [C], unbiased
};

struct BatchNormOptions {
  double eps = 1e-5;      // added to the variance; unit: that of x, squared
  double momentum = 0.1;  // weight of the new batch in the running statistics, 0 to 1
  Mode mode = Mode::train;
  const Tensor* residual = nullptr;  // z, added before the activation; same shape as x
  Activation activation = Activation::none;
  double slope = 0.01;  // of leaky_relu, at least 0
};

/// Normalizes each channel: y = act(gamma * (x - mean) / sqrt(var + eps) + beta + z).
/// Shapes  x, z, y: [N, H, W, C], in either layout. gamma, beta, running.mean, running.var: [C],
///         f32 where x is of 16 bits.
/// Stats   train: of this batch, over N, H and W (M = N*H*W values). y uses the biased var (over
///         M); running.var takes the unbiased one (over M - 1). eval: the running ones, which then
///         are constants to the gradient (a frozen batch norm).
/// Grads   x, gamma, beta, z. `running` changes in place (train only) and has no gradient.
/// Paths   f64 reference; kernels/batch_norm.hpp on a GPU; f32 on the CPU in the fewest passes over
/// memory: forward reads x twice
///         and writes y; backward reads dy and x twice and writes dx (into dy where nobody else
///         holds it). The same bits for any number of threads.
/// Errors  Error when x is not 4-D, when a [C] tensor has another length or type, when the residual
///         has another shape, when M < 2 in train, or when an option is out of range.
/// Source  Ioffe & Szegedy 2015, arXiv:1502.03167: algorithms 1 and 2; gradients in section 3.
Tensor batch_norm(Tape& tape, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  RunningStats& running, const BatchNormOptions& options = {});

}  // namespace gliograd
