// Dropout with random numbers that depend on the element alone, not on thread, batch or device.
#pragma once
#include <cstdint>

#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

struct DropoutOptions {
  double probability = 0.5;  // of an element to become zero, 0 <= p < 1
  uint32_t layer = 0;        // which dropout of the network this is; two of them must differ
  Mode mode = Mode::train;   // eval: y = x
};

/// y = x / (1 - p) where the element is kept, else 0.
/// Shapes  x, y: [N, ...], sample n along axis 0.
/// Random  Philox with the stream's key and purpose dropout. Element e of sample n in epoch E and
///         draw D of the stream's StepState: word e % 4 of the block at {position e / 4, layer,
///         draw D + n, epoch E}; kept when uniform(word) >= p.
/// Grads   x: dy / (1 - p) where kept.
/// Saves   one byte an element.
/// Paths   f64 reference; f32 on the CPU. Blocked tensors are converted.
/// Errors  Error when p is not in [0, 1), when layer is 2^16 or more, or when x has no axes.
/// Source  Srivastava et al. 2014, JMLR 15: 1929; scaled in training ("inverted").
Tensor dropout(Tape& tape, const Tensor& x, const DropoutOptions& options = {});

}  // namespace gliograd
