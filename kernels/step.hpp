// What a single thread of a GPU does between the launches of a training step: StepState is read and
// moved on there, so that a captured step needs no host.
#pragma once
#include "kernels/entry.hpp"
#include "kernels/step_state.hpp"

namespace gliograd::kernels {

/// *to = the loss scale of this step: the gradient that a backward pass begins with.
inline const Entry<void(Queue, const StepState*, float* to)> write_loss_scale{"write_loss_scale"};

/// The batch is done: its mean loss times its images joins loss_sum, and draw moves past it.
inline const Entry<void(Queue, StepState*, const float* loss, int32_t images)> end_batch{
    "end_batch"};

}  // namespace gliograd::kernels
