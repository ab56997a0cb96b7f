// Numbers that describe a tumor's shape, from its masks alone: the baseline that a network has to
// beat. Nothing here is trained, so no fold can leak into them.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gliograd::data {

/// The masks of one patient. Slices are neighbors where their numbers are.
struct MaskStack {
  int64_t depth = 0, height = 0, width = 0;
  std::vector<int32_t> numbers;  // [D] slice numbers, rising; gaps possible
  std::vector<uint8_t> voxels;   // [D, H, W], 0 or not 0
};

/// In this order:
/// bevr                bounding-ellipsoid volume ratio: volume of the largest 3-D component (6
///                     neighbors) over that of the smallest ellipsoid around its voxels' corners.
///                     1 for an ellipsoid, less for anything else; affine maps do not change it, so
///                     slice spacing does not matter.
/// inverse_bevr        1 / bevr, which rises with irregularity.
/// angular_std         distances from the centroid to the margin, divided by their mean; their
///                     standard deviation inside each of 10 equal angles; the mean of these.
/// margin_fluctuation  standard deviation, along the margin, of that distance less its moving
///                     average over a tenth of the margin's length.
/// area                pixels of the largest slice.
/// volume              voxels of all slices.
/// extent              area of the largest slice over that of its bounding box.
/// slices              slices with tumor.
/// angular_std, margin_fluctuation: outer margin of the largest component (8 neighbors) of the
/// largest slice, the first such slice where several are equal. Without any tumor the counts are 0
/// and all else is NaN.
/// Errors: Error when sizes do not fit each other or numbers do not rise.
/// Source: Mazurowski et al. 2017, J Neurooncol 133:27; Buda et al. 2019, Comput Biol Med 109:218.
/// Ellipsoid: Khachiyan 1996, Math Oper Res 21:307, with the away steps of Todd and Yildirim 2007.
std::vector<std::pair<std::string, double>> shape_features(const MaskStack& masks);

/// Their names, in the same order.
std::vector<std::string> shape_feature_names();

/// Volume of the smallest ellipsoid that holds all points, to a relative 1e-6. The points must not
/// lie in one plane (Error).
double enclosing_ellipsoid_volume(const std::vector<std::array<double, 3>>& points);

}  // namespace gliograd::data
