// A fingerprint says whether two patients of different names are the same pictures: 64 numbers that
// resampling, cropped margins, new windows, gamma and requantizing leave nearly as they were. It
// warns; it proves nothing. Recipe, and what was measured: docs/fingerprint.md.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "data/dataset.hpp"

namespace gliograd::data {

using Fingerprint = std::array<float, kFingerprintSize>;

/// One whole slice, [height, width, channels], and its mask [height, width] or null.
struct FingerprintSlice {
  const uint8_t* pixels = nullptr;
  int64_t height = 0, width = 0, channels = 0;
  const uint8_t* mask = nullptr;
};

/// Of one patient's slices, in any order. Slices count by their mask's area, all alike where no
/// mask shows anything. The first three channels are used; of fewer, the last stands for the rest.
/// Length 1; all zeros where there is no content to describe (which resembles nothing).
/// Errors: Error for a slice without pixels or slices of different channel counts.
Fingerprint fingerprint(const std::vector<FingerprintSlice>& slices);

/// Of two fingerprints, -1 to 1; 0 where one is empty.
float fingerprint_similarity(const Fingerprint& a, const Fingerprint& b);

/// From here on two patients are taken to look alike. On the public lower-grade set two different
/// patients reach 0.92 at most, one patient changed in all the ways above 0.98 at least.
constexpr float kFingerprintAlike = 0.95F;

}  // namespace gliograd::data
