// ReLU for ops that apply it to their own result on the way out (elementwise.cpp has it). Only ops
// include this.
#pragma once
#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

/// y = max(y, 0) in place, on any path; NaN stays NaN.
void apply_relu(Stream& stream, Tensor& y);

/// Records the ReLU's backward pass behind an op whose result `y` is: the op's own backward pass
/// then gets the gradient in front of the ReLU. `recorded` is `y` as tape.record() gave it back for
/// the op, before or after apply_relu(): the ReLU looks at its own result alone.
Tensor record_relu(Tape& tape, const Tensor& recorded);

}  // namespace gliograd
