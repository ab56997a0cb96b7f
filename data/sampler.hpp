// An epoch's draws: which slices a network sees, and in what order. A pure function of (key,
// epoch).
//
// Shares. Each class gets the same share of the epoch (unless balance_classes is off), in a class
// each patient the same, in a patient each slice the same or in proportion to its tumor area.
// Expected counts equal these shares exactly. The draws are not independent: at every level counts
// come from systematic sampling (one random offset, then equal steps over a shuffled order), so a
// class, a patient or a slice gets its expected count rounded up or down, never more off; and draws
// are spread over the epoch, so each batch holds each class as often as the others, give or take
// one or two.
#pragma once
#include <cstdint>
#include <vector>

#include "data/dataset.hpp"
#include "engine/device/stream.hpp"

namespace gliograd::data {

struct SamplerOptions {
  int64_t batch = 16;
  bool balance_classes = true;
  bool weight_by_area = false;  // patients whose slices have no area at all stay uniform
  RandomKey random = {};
};

/// Full batches in an epoch of `slices` training slices: ceil(slices / batch).
int64_t batches_per_epoch(int64_t slices, int64_t batch);

/// Slice indices, batches_per_epoch * batch of them, in order. labels: class of each patient of the
/// set. Errors: Error when batch < 1, when epoch is out of [0, 2^24), when there is no training
/// patient, or when one has no label or no slice.
std::vector<int32_t> epoch_draws(const Dataset& set, const std::vector<int32_t>& training_patients,
                                 const std::vector<int32_t>& labels, const SamplerOptions& options,
                                 int epoch);

/// The same where the label belongs to the slice (does it show tumor?): a patient counts in each
/// class in which it has slices. slice_labels: class of each slice of the set.
std::vector<int32_t> epoch_draws_by_slice(const Dataset& set,
                                          const std::vector<int32_t>& training_slices,
                                          const std::vector<int32_t>& slice_labels,
                                          const SamplerOptions& options, int epoch);

}  // namespace gliograd::data
