// Photographs for pretraining and for checking imported weights: a folder a category.
#pragma once
#include <string>

#include "data/readers/prepare_lgg.hpp"

namespace gliograd::data {

struct ImageSetOptions {
  int64_t size = 128;  // pixels a side
  int threads = 1;
};

/// <category>/<image>.jpg, .jpeg or .png. Each image is a patient "category/image" of one slice, so
/// that nothing of the rest of the program needs to know another unit; its identity
/// ("photograph/category/image") says that it is known, and no person. The shorter side is scaled
/// to `size`, the middle of the longer one is kept; gray is repeated, alpha left out; channels red,
/// green, blue. One intensity scale for the whole set (median and MAD of all pixels), so that
/// colors stay. The label `category` is the folder. Errors: Error that names the file: damaged,
/// deeper than 8 bits; a folder without images; fewer than two categories.
Prepared prepare_images(const std::string& folder, const ImageSetOptions& options,
                        const Progress& progress = {});

}  // namespace gliograd::data
