// Glioblastoma slices for pretraining: one or both of the folders tcga_gbm (gray) and brats_3seq
// (RGB: T1, FLAIR, T1 post-contrast), each <patient>/<patient>_<slice>.png with its ..._mask.png.
#pragma once
#include <string>

#include "data/readers/prepare_lgg.hpp"

namespace gliograd::data {

struct GbmOptions {
  CropOptions crop{.crop = Crop::none, .tumor_only = false};
  int threads = 1;
};

/// Channels pre, flair, post as in the lower-grade set. A gray slice, whose sequence is not known,
/// is repeated in all three, and Patient::present is 0 for all of them; in RGB, 0 where a channel
/// repeats FLAIR. Smaller slices are padded with zeros to the largest. The label `source` is the
/// folder. The notes say how many slices were padded and repeated.
/// Errors: as prepare_lgg; Error when neither folder is there.
Prepared prepare_gbm(const std::string& folder, const GbmOptions& options,
                     const Progress& progress = {});

}  // namespace gliograd::data
