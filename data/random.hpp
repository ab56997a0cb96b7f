// RandomSequence: Philox words in order, for the few places of data/ that draw on the host (splits,
// an epoch's draws, the phantom). No std:: distribution and no std::shuffle: their results differ
// between standard libraries, and folds must not.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/device/stream.hpp"
#include "kernels/philox.hpp"

namespace gliograd::data {

/// The words at positions 0, 1, 2, ... of one place in a run. Two sequences that differ in key,
/// purpose, epoch, draw or layer share no word.
class RandomSequence {
 public:
  RandomSequence(const RandomKey& key, kernels::RandomPlace place)
      : key_{{key.seed, key.low_word()}}, place_(place) {}

  uint32_t word() {
    if (used_ == 4) {
      block_ = kernels::philox(key_, kernels::counter_of(place_));
      ++place_.position;
      used_ = 0;
    }
    return block_.word[used_++];
  }
  /// In (0, 1).
  double uniform() { return kernels::uniform(word()); }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// In [0, n), n >= 1.
  uint32_t below(uint32_t n) { return kernels::below(word(), n); }
  /// Mean 0, variance 1: the sum of 12 uniforms less 6 (so within +-6), exact on every machine.
  double bell() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }

  /// Fisher and Yates' shuffle.
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[below(static_cast<uint32_t>(i))]);
    }
  }

 private:
  kernels::PhiloxKey key_;
  kernels::RandomPlace place_;
  kernels::PhiloxBlock block_{};
  int used_ = 4;
};

}  // namespace gliograd::data
