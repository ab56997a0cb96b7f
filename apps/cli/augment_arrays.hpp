// The batch that `gliograd augment --arrays` writes (docs/formats.md).
#pragma once
#include <string>
#include <vector>

#include "data/augment_policy.hpp"

namespace gliograd::cli {

struct BatchFile {
  const data::Dataset& set;
  const data::Resident& resident;
  InputSpec input;
  AugmentOptions options;
  std::vector<int32_t> slices;
  int draws;  // of each slice, one after the other
  Stream& stream;
  std::string preset;
  uint32_t seed;
};

/// Each slice `draws` times in a row; image i is draw i of epoch 0.
std::vector<int32_t> repeated(const std::vector<int32_t>& slices, int draws);

/// Replaces the file at once.
void write_batch(const BatchFile& batch, const std::string& path);

}  // namespace gliograd::cli
