// More channels than there are.
#pragma once
#include <cstdint>

#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

/// y = x with zeros behind its last axis, up to `channels`: the weights of a first layer whose
/// image came with unused channels. Shapes  x [..., C]; y [..., channels], channels >= C. nhwc.
/// Grads   x.
/// Errors  Error when x is undefined, has no axis, or more channels than asked for.
Tensor pad_channels(Tape& tape, const Tensor& x, int64_t channels);

}  // namespace gliograd
