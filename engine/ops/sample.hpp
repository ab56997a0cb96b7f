// sample: a batch of network input, gathered from the resident set as it is stored: a center cut of
// each window, mask applied, standardized. What augmentation does when it changes nothing, and the
// input of every evaluation without it.
#pragma once
#include <span>

#include "engine/tensor/tensor.hpp"
#include "kernels/sample.hpp"

namespace gliograd {

using kernels::ChannelScale;
using kernels::InputSpec;
using kernels::MaskUse;
using kernels::ResidentSet;

struct SampleBatch {
  Tensor
      images;    // f32 [batch, height, width, channels]: sequences in order, then the mask if asked
  Tensor masks;  // u8 [batch, height, width], 0 or 1; undefined unless asked for
};

/// Whether the mask comes back as a tensor of its own (segmentation's target).
enum class WithMasks : bool { no, yes };

/// Shapes  images: [slices.size(), input.height, input.width, input.channels()].
/// Values  a * u8 + b with the patient's own a and b; the mask channel is 0 or 1.
/// Errors  Error when the window is larger than the stored one, a sequence or slice does not exist,
///         the input has no channel, or a mask is needed and the set has none.
SampleBatch sample(Stream& stream, const ResidentSet& set, const InputSpec& input,
                   std::span<const int32_t> slices, WithMasks with_masks = WithMasks::no);

/// The errors above, for everything that makes batches; `op` begins the message. Of a set in a
/// GPU's memory the patients cannot be looked at here: DeviceSet did.
void check_sample(const char* op, Device device, const ResidentSet& set, const InputSpec& input,
                  std::span<const int32_t> slices, WithMasks with_masks);
/// The same without slices.
void check_input(const char* op, const ResidentSet& set, const InputSpec& input,
                 WithMasks with_masks);

}  // namespace gliograd
