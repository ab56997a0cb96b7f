// augment: a batch of network input, gathered from the resident set and changed on the way. One
// pass per image: warp straight from the stored window, intensities, mask, normalization. What can
// be done stands in kernels/augment_params.hpp, how in augment_map.hpp and augment_pixel.hpp; both
// devices compile those.
#pragma once
#include "engine/ops/sample.hpp"
#include "kernels/augment_pixel.hpp"

namespace gliograd {

using kernels::AugmentOptions;
using kernels::AugmentParams;
using kernels::ChannelParams;
using kernels::Fill;

/// Sample i of the batch is draw `at.draw + i` of epoch `at.epoch`: its parameters and noise are a
/// pure function of (stream.random(), epoch, draw), whatever else is in the batch and however many
/// threads work. Only `epoch` and `draw` of `at` are read; training passes *stream.state().
/// Shapes and values as sample(); the mask goes through the same map with nearest neighbor, and
/// no step changes its values.
/// Errors  those of sample(), and check_augment_options.
SampleBatch augment(Stream& stream, const ResidentSet& set, const InputSpec& input,
                    std::span<const int32_t> slices, const AugmentOptions& options,
                    const StepState& at, WithMasks with_masks = WithMasks::no);

/// The same with parameters given: one for each slice. Test-time augmentation and contact sheets.
SampleBatch augment_as(Stream& stream, const ResidentSet& set, const InputSpec& input,
                       std::span<const int32_t> slices, std::span<const AugmentParams> params,
                       WithMasks with_masks = WithMasks::no);

/// What augment() does to draw `draw` of epoch `epoch`.
AugmentParams draw_augment(const RandomKey& key, int32_t epoch, int32_t draw,
                           const AugmentOptions& options, const InputSpec& input);

/// The eight exact symmetries of a square, for test-time augmentation: 0 changes nothing, 1 to 3
/// are quarter turns counterclockwise, 4 to 7 the same after left and right changed places.
AugmentParams square_symmetry(int index);
constexpr int kSquareSymmetries = 8;

/// Errors  Error that names the option, its limits and its value: a probability outside [0, 1], a
///         strength outside its range, not finite, or knots so close that a window has more than
///         kMaxKnots of them on an axis.
void check_augment_options(const AugmentOptions& options, const InputSpec& input);
/// The errors of augment_as(), for its paths.
void check_augment_as(const Stream& stream, const ResidentSet& set, const InputSpec& input,
                      std::span<const int32_t> slices, std::span<const AugmentParams> params,
                      WithMasks with_masks);

}  // namespace gliograd
