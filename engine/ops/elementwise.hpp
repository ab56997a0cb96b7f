// Element-wise ops. Those of one argument are rows of a table (kernels/elementwise.hpp): a formula
// and its derivative give all paths, the backward node, the case and the bench row.
#pragma once
#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

/// max(x, 0); the derivative at 0 is 0. Any shape and layout, like all of this file. Each keeps its
/// output for the backward pass and nothing else. NaN stays NaN.
Tensor relu(Tape& tape, const Tensor& x);

/// x for x > 0, else slope * x. Error when slope is negative.
/// Source  Maas, Hannun & Ng 2013, "Rectifier nonlinearities improve neural network acoustic
/// models".
Tensor leaky_relu(Tape& tape, const Tensor& x, double slope = 0.01);

/// 1 / (1 + e^-x).
Tensor sigmoid(Tape& tape, const Tensor& x);

/// a + b; both of the same shape and type (no broadcasting). Where layouts differ, b is converted.
Tensor add(Tape& tape, const Tensor& a, const Tensor& b);

}  // namespace gliograd
