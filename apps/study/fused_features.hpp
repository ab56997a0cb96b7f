// Numbers of a patient that stand beside the network's features in front of its last layer
// (`--fuse shape,age`): imputed and standardized with what the training patients show.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace gliograd::study {

struct FusedFeatures {
  int64_t count = 0;               // F: features and, where values are missing, their indicators
  std::vector<std::string> names;  // [F]
  std::vector<float> values;       // [P, F]
};

/// `names`: covariate columns (or how one begins: "age" is age_at_initial_pathologic), or "shape"
/// for the shape features that a reader asks for (inverse_bevr, angular_std, margin_fluctuation).
/// Mean and deviation come from `training` patients alone; a missing value becomes the mean, with
/// an indicator column. Errors: Error for an unknown name, one
/// named twice, or a set without shape features.
FusedFeatures fuse_features(const data::Dataset& set, const std::vector<std::string>& names,
                            const std::vector<int32_t>& training);

}  // namespace gliograd::study
