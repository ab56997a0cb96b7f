// Philox4x32-10, the counter-based generator of Salmon et al. 2011 ("Parallel random numbers: as
// easy as 1, 2, 3"), and how gliograd names its random numbers. A number is a pure function of a
// key (which run and fold) and a counter (which element, sample, epoch and purpose), so results
// depend neither on thread count, nor on batch order, nor on where a run was resumed. The same on
// CPU and GPU.
#pragma once
#include <cstdint>

#include "kernels/portable.hpp"

namespace gliograd::kernels {

struct PhiloxKey {
  uint32_t word[2];
};
struct PhiloxCounter {
  uint32_t word[4];
};
struct PhiloxBlock {
  uint32_t word[4];
};

/// What a random number is for; two purposes never share a counter.
enum class Purpose : uint32_t {
  init = 1,     // first weights
  shuffle = 2,  // order of samples
  augment = 3,  // parameters of an augmentation
  dropout = 4,
  bootstrap = 5,  // resampled patients
  permute = 6,    // shuffled labels
  split = 7,      // folds
  noise = 8,      // of an augmentation, per pixel
  phantom = 9,    // synthetic cohorts
};

/// Where in a run a random number stands.
struct RandomPlace {
  uint64_t position = 0;  // element within the sample, below 2^48
  uint32_t layer = 0;     // order of the parameter or layer, below 2^16
  uint32_t draw = 0;      // slot in the epoch
  uint32_t epoch = 0;     // below 2^24
  Purpose purpose = Purpose::init;
};

GG_HD inline PhiloxCounter counter_of(const RandomPlace& at) {
  return {{static_cast<uint32_t>(at.position),
           static_cast<uint32_t>(at.position >> 32) | at.layer << 16, at.draw,
           at.epoch << 8 | static_cast<uint32_t>(at.purpose)}};
}

/// Four random words.
GG_HD inline PhiloxBlock philox(PhiloxKey key, PhiloxCounter counter) {
  uint32_t c0 = counter.word[0], c1 = counter.word[1], c2 = counter.word[2], c3 = counter.word[3];
  uint32_t k0 = key.word[0], k1 = key.word[1];
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// In (0, 1), never 0 nor 1: ((x >> 9) + 0.5) * 2^-23, exact in f32.
GG_HD inline float uniform(uint32_t word) {
  return (static_cast<float>(word >> 9) + 0.5f) * 1.1920928955078125e-7f;
}

/// An integer in [0, n), n >= 1, from one word: the high half of the product (bias below n *
/// 2^-32).
GG_HD inline uint32_t below(uint32_t word, uint32_t n) {
  return static_cast<uint32_t>(uint64_t{word} * n >> 32);
}

}  // namespace gliograd::kernels
