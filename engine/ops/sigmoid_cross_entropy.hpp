// The loss of yes-or-no outputs: each with its own target, none excludes another.
#pragma once
#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

struct SigmoidCrossEntropyOptions {
  Tensor pos_weight = {};      // p [K], not negative: of the positive part of output k; default 1
  Tensor sample_weights = {};  // v [...], one a row, not negative; default 1
};

/// loss = mean over i, k of
///   v_i * (p_k * t[i, k] * -log q[i, k] + (1 - t[i, k]) * -log(1 - q[i, k])), q = sigmoid(x).
/// PyTorch's binary_cross_entropy_with_logits(weight, pos_weight): the mean is over the number of
/// values, whatever the weights.
/// Shapes  x, targets [..., K], or [N], which counts as [N, 1]; targets from 0 to 1; loss: a
///         scalar. Targets, weights and loss are f64 where x is, else f32.
/// Grads   x (targets are constants).
/// Paths   f64 reference; f32 on the CPU; f32, bf16 and f16 on the GPU. Finite for finite x:
///         log q = min(x, 0) - log(1 + e^-|x|).
/// Errors  Error when a shape or type disagrees, when a target is not 0 to 1 (NaN too), or when a
///         weight is negative or not finite. On a GPU targets and weights are not read by the
///         host: where they are wrong, the loss is NaN, and the gradients that they enter.
Tensor sigmoid_cross_entropy(Tape& tape, const Tensor& x, const Tensor& targets,
                             const SigmoidCrossEntropyOptions& options = {});

}  // namespace gliograd
