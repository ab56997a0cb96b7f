// Tensors side by side along their channels.
#pragma once
#include <vector>

#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

/// y[..., c] = the channels of all tensors in order.
/// Shapes  tensors [..., Ci] with equal leading axes; y [..., sum of Ci].
/// Grads   each tensor: its channels of dy.
/// Paths   f64 reference; f32 on the CPU; f32, bf16 and f16 on a GPU. Blocked tensors are
/// converted. Errors  Error when there is no tensor, or when ranks, leading axes or types differ.
Tensor concat(Tape& tape, const std::vector<Tensor>& tensors);

}  // namespace gliograd
