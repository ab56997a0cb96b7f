// A tiny cohort in memory, for tests of training: two sequences, a bright square whose size tells
// the class, everything else noise.
#pragma once
#include "data/dataset.hpp"

namespace gliograd::test {

struct CohortOptions {
  int patients = 24;   // classes alternate: "1" and "2" of the label column "Subtype"
  int slices = 3;      // a patient
  int size = 16;       // pixels, height and width
  bool blank = false;  // no content at all: nothing can be learned
  uint32_t seed = 1;
};

/// Sites "A", "B" and "C" in turn; a covariate "age" with one missing value; shape features.
data::Dataset tiny_cohort(const CohortOptions& options = {});

}  // namespace gliograd::test
