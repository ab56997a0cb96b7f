// The intensity scale of one patient: MRI has no unit, so a sequence is measured by its own tissue.
#pragma once
#include <cstdint>
#include <vector>

#include "data/dataset.hpp"

namespace gliograd::data {

/// One whole slice, not windowed: [pixels, channels].
struct ScaleSlice {
  const uint8_t* values;
  int64_t pixels;
};

/// One (a, b) a channel so that a * u8 + b is the robust standard score (value - median) /
/// (1.4826 * MAD) among the pixels that are not background; median and MAD of all slices together.
///
/// Background: a channel's most frequent gray level L is taken for it (also where it was raised, to
/// 61..103 in three patients of the LGG set); d = |value - L| is split in two by Otsu's threshold
/// on sqrt(d), which scanner noise (d up to 20 or so) and a very dark sequence alike leave where it
/// belongs. A pixel is tissue where any channel says so: what lies near a raised background in one
/// sequence is seen in another. On the real set this takes 26 to 75 % of the pixels, and 90 % or
/// more of every tumor.
///
/// Where nothing stands out all pixels count. 1.4826 * MAD is never taken below 1 gray level, so a
/// is finite and positive for a constant channel too.
/// Errors: Error when there is no pixel or no channel.
std::vector<Affine> robust_scale(const std::vector<ScaleSlice>& slices, int64_t channels);

/// The same with every pixel counted: for photographs, which have no background.
std::vector<Affine> robust_scale_of_all(const std::vector<ScaleSlice>& slices, int64_t channels);

}  // namespace gliograd::data
