#include "engine/ops/sample.hpp"

#include "engine/core/parallel.hpp"
#include "engine/ops/augment_cuda.hpp"

namespace gliograd {
namespace {

using kernels::center_cut;
using kernels::network_value;

constexpr int64_t kMostPixels = 32768;

// One image. out: [height, width, input.channels()]; mask_out: [height, width] or null.
void gather(const ResidentSet& set, const InputSpec& input, int32_t slice, float* out,
            uint8_t* mask_out) {
  const int64_t top = center_cut(set.height, input.height),
                left = center_cut(set.width, input.width);
  const ChannelScale* scales = set.scales + set.patients[slice] * set.channels;
  const int32_t channels = input.channels();
  for (int64_t y = 0; y < input.height; ++y) {
    const int64_t stored = (slice * set.height + top + y) * set.width + left;
    const uint8_t* pixels = set.images + stored * set.channels;
    const uint8_t* mask = set.masks == nullptr ? nullptr : set.masks + stored;
    for (int64_t x = 0; x < input.width; ++x) {
      const bool inside = mask != nullptr && mask[x] != 0;
      float* value = out + (y * input.width + x) * channels;
      for (int c = 0; c < input.sequence_count; ++c) {
        const int32_t sequence = input.sequences[c];
        value[c] = network_value(static_cast<float>(pixels[x * set.channels + sequence]),
                                 scales[sequence], false, inside, input.mask);
      }
      if (input.mask == MaskUse::channel) value[input.sequence_count] = inside ? 1.0f : 0.0f;
      if (mask_out != nullptr) mask_out[y * input.width + x] = inside ? 1 : 0;
    }
  }
}

}  // namespace

void check_input(const char* op, const ResidentSet& set, const InputSpec& input,
                 WithMasks with_masks) {
  GG_CHECK(set.images != nullptr && set.patients != nullptr && set.scales != nullptr, op,
           ": the set has no images, patients or scales");
  // Offsets into a stored window are 32 bits wide.
  GG_CHECK(set.height <= kMostPixels && set.width <= kMostPixels, op,
           ": stored windows must be at most ", kMostPixels, " pixels high and wide; got ",
           set.height, " by ", set.width);
  GG_CHECK(input.height >= 1 && input.width >= 1 && input.height <= set.height &&
               input.width <= set.width,
           op, ": the window must be 1 to ", set.height, " by 1 to ", set.width,
           " pixels (as stored); got ", input.height, " by ", input.width);
  GG_CHECK(input.sequence_count >= 0 && input.sequence_count <= kernels::kMaxSequences, op,
           ": at most ", kernels::kMaxSequences, " sequences; got ", input.sequence_count);
  GG_CHECK(input.channels() > 0, op, ": the input needs a sequence or the mask as channel");
  for (int c = 0; c < input.sequence_count; ++c) {
    GG_CHECK(input.sequences[c] >= 0 && input.sequences[c] < set.channels, op, ": sequence ",
             input.sequences[c], " of ", set.channels, " does not exist");
  }
  GG_CHECK(set.masks != nullptr || (input.mask == MaskUse::none && with_masks == WithMasks::no), op,
           ": the input uses the mask, and the set has none");
}

void check_sample(const char* op, Device device, const ResidentSet& set, const InputSpec& input,
                  std::span<const int32_t> slices, WithMasks with_masks) {
  check_input(op, set, input, with_masks);
  GG_CHECK(!slices.empty(), op, ": needs at least one slice");
  for (const int32_t slice : slices) {
    GG_CHECK(slice >= 0 && slice < set.slices, op, ": slice ", slice, " of ", set.slices,
             " does not exist");
    if (device == Device::cuda) continue;
    const int32_t patient = set.patients[slice];
    GG_CHECK(patient >= 0 && patient < set.patient_count, op, ": slice ", slice,
             " belongs to patient ", patient, " of ", set.patient_count);
  }
}

SampleBatch sample(Stream& stream, const ResidentSet& set, const InputSpec& input,
                   std::span<const int32_t> slices, WithMasks with_masks) {
  check_sample("sample", stream.device(), set, input, slices, with_masks);
  if (stream.device() == Device::cuda) {  // what augmentation does when it changes nothing
    const std::vector<kernels::AugmentParams> unchanged(slices.size());
    return augment_as(stream, set, input, slices, unchanged, plain_form(input, slices, with_masks));
  }
  const int64_t n = static_cast<int64_t>(slices.size());
  SampleBatch batch;
  batch.images = empty(stream, {n, input.height, input.width, input.channels()});
  if (with_masks == WithMasks::yes) {
    batch.masks = empty(stream, {n, input.height, input.width}, DType::u8);
  }
  const int64_t pixels = int64_t{input.height} * input.width;
  float* out = batch.images.data<float>();
  uint8_t* mask = batch.masks.defined() ? batch.masks.data<uint8_t>() : nullptr;
  parallel_for(stream.threads(), n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      gather(set, input, slices[static_cast<size_t>(i)], out + i * pixels * input.channels(),
             mask == nullptr ? nullptr : mask + i * pixels);
    }
  });
  return batch;
}

}  // namespace gliograd
