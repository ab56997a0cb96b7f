// Batches on a GPU: the resident set there, and the launches of kernels/augment.hpp.
#pragma once
#include <span>

#include "engine/ops/augment.hpp"

namespace gliograd {

/// A resident set in a GPU's memory. Immutable once made: all folds of a process share one,
/// whatever their streams. Errors: Error when the set lacks an array, or a slice names no patient.
class DeviceSet {
 public:
  DeviceSet(Stream& stream, const ResidentSet& host);
  const ResidentSet& set() const { return set_; }

 private:
  Tensor images_, masks_, patients_, scales_;
  ResidentSet set_;
};

/// The form of a batch on a GPU.
struct BatchForm {
  int64_t images = 0;
  DType dtype = DType::f32;
  int64_t channels = 0;  // at least the input's; those beyond are 0
  WithMasks with_masks = WithMasks::no;
};
/// As the CPU gives it: f32, no channel beyond the input's.
inline BatchForm plain_form(const InputSpec& input, std::span<const int32_t> slices,
                            WithMasks with_masks) {
  return {.images = static_cast<int64_t>(slices.size()),
          .channels = input.channels(),
          .with_masks = with_masks};
}

/// The next batch of the epoch in progress: image i is slice order[draw + i], changed as draw
/// `draw + i` of epoch `epoch` is by augment(); both are read from the stream's StepState by the
/// kernels, so the step can be captured. `order`: i32 [draws of an epoch], on the GPU.
/// Errors: those of augment() but for slices, which the order must keep below set.slices.
SampleBatch augment_next(Stream& stream, const ResidentSet& set, const InputSpec& input,
                         const Tensor& order, const AugmentOptions& options, const BatchForm& form);

/// What belongs to the slices of that batch: row i is row order[draw + i] of the table, i32 [N] or
/// f32 [N, F], and the result [images] or [images, F]; all on the GPU.
Tensor rows_next(Stream& stream, const Tensor& table, const Tensor& order, int64_t images);

/// augment_as() on a GPU, in any form of batch; slices and parameters are copied there.
/// `form.images` is the number of slices. Errors: those of augment_as().
SampleBatch augment_as(Stream& stream, const ResidentSet& set, const InputSpec& input,
                       std::span<const int32_t> slices, std::span<const AugmentParams> params,
                       const BatchForm& form);
}  // namespace gliograd
