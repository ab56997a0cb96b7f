// What a network's input is made from: the resident set (all stored windows, one byte a value), and
// which part of it the network sees. Shared by plain gathering and augmentation on both devices.
#pragma once
#include <cstdint>

#include "kernels/portable_math.hpp"

namespace gliograd::kernels {

constexpr int kMaxSequences = 8;

/// value = a * u8 + b is the robust standard score of one patient's sequence: 0 is the median of
/// what is not background, 1 is one robust standard deviation.
struct ChannelScale {
  float a = 1;
  float b = 0;
};

/// Pointers into memory of the device that works. Immutable, shared by all folds.
struct ResidentSet {
  const uint8_t* images = nullptr;    // [slices, height, width, channels]
  const uint8_t* masks = nullptr;     // [slices, height, width], 0 or 1; null where there are none
  const int32_t* patients = nullptr;  // [slices] index of the patient
  const ChannelScale* scales = nullptr;  // [patient_count, channels]
  int64_t slices = 0, height = 0, width = 0, channels = 0, patient_count = 0;
};

/// What the mask does to the input.
enum class MaskUse : int32_t {
  none = 0,
  multiply = 1,  // the standardized value outside is 0
  channel = 2,   // 0 or 1 as last channel, never standardized
  raw_zero = 3,  // the raw value outside is 0, then it is standardized like all others
};

struct InputSpec {
  int32_t sequence_count = 0;
  int32_t sequences[kMaxSequences] = {};  // indices of the set's channels, in the network's order
  MaskUse mask = MaskUse::none;
  int32_t height = 0, width = 0;  // of the window: a center cut of the stored one

  GG_HD int channels() const { return sequence_count + (mask == MaskUse::channel ? 1 : 0); }
};

/// First stored row (or column) of a window of `window` in `stored`: an 80 cut of 128 begins at 24.
GG_HD_INLINE int32_t center_cut(int64_t stored, int32_t window) {
  return static_cast<int32_t>((stored - window) / 2);
}

/// The last two steps of every input, mask and normalization, for one value. `hidden`: what cutout
/// or a dropped sequence took away becomes 0, the sequence's median.
GG_HD_INLINE float network_value(float raw, ChannelScale scale, bool hidden, bool inside,
                                 MaskUse use) {
  const float kept = use == MaskUse::raw_zero && !inside ? 0.0f : raw;
  const float value = scale.a * kept + scale.b;
  const bool zero =
      (hidden && !(use == MaskUse::raw_zero && !inside)) || (use == MaskUse::multiply && !inside);
  return zero ? 0.0f : value;
}

}  // namespace gliograd::kernels
