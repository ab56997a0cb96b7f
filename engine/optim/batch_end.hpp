// What ends a training step, behind the update.
#pragma once
#include "engine/tensor/tensor.hpp"

namespace gliograd {

/// The batch is done: its mean loss times its images joins StepState::loss_sum, and `draw` moves
/// past them. On a GPU this is queued. `loss`: a scalar, f32 (or f64 on the CPU), in memory of the
/// stream's device.
void end_batch(Stream& stream, const Tensor& loss, int64_t images);

}  // namespace gliograd
