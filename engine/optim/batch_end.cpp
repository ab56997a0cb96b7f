#include "engine/optim/batch_end.hpp"

#include "kernels/step.hpp"

namespace gliograd {

void end_batch(Stream& stream, const Tensor& loss, int64_t images) {
  GG_CHECK(loss.size() == 1 && loss.device() == stream.device(),
           "end_batch: the loss must be a scalar on the ", stream.device(), "; got ", loss.shape);
  const auto count = static_cast<int32_t>(images);
  if (stream.device() == Device::cuda) {
    GG_CHECK(loss.dtype == DType::f32, "end_batch: losses of a GPU are f32; got ", loss.dtype);
    kernels::end_batch(stream.queue(), stream.state(), static_cast<const float*>(loss.raw()),
                       count);
    return;
  }
  StepState& state = *stream.state();
  state.loss_sum += to_values(loss)[0] * static_cast<double>(images);
  state.draw += count;
}

}  // namespace gliograd
