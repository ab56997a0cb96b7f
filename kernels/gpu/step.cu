#include "kernels/gpu/launch.cuh"
#include "kernels/step.hpp"

namespace gliograd::kernels {
namespace {

__global__ void loss_scale_kernel(const StepState* state, float* to) { *to = state->loss_scale; }

__global__ void end_batch_kernel(StepState* state, const float* loss, int32_t images) {
  state->loss_sum += static_cast<double>(*loss) * images;
  state->draw += images;
}

void loss_scale(Queue queue, const StepState* state, float* to) {
  launch({.name = "loss_scale", .grid = 1, .block = 1, .cost = {.bytes = 8}}, queue,
         loss_scale_kernel, state, to);
}

void end(Queue queue, StepState* state, const float* loss, int32_t images) {
  // The loss, and the state's sum and count, read and written.
  launch({.name = "end_batch", .grid = 1, .block = 1, .cost = {.bytes = 28, .ops = 3}}, queue,
         end_batch_kernel, state, loss, images);
}

const Provide<write_loss_scale> provide_loss_scale{loss_scale};
const Provide<end_batch> provide_end_batch{end};

}  // namespace
}  // namespace gliograd::kernels
