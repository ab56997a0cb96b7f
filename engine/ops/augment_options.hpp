// The options of augment() by name, with their units and limits: one table for checks, settings in
// a file, and help.
#pragma once
#include <vector>

#include "kernels/augment_params.hpp"

namespace gliograd {

struct AugmentField {
  const char* name;  // "rotation-degrees"
  float kernels::AugmentOptions::*member;
  float low, high;   // limits, both allowed
  const char* help;  // one line, with the unit
};

/// All numeric options, probability first, in the order of the header.
const std::vector<AugmentField>& augment_fields();

/// Errors  Error when knots this far apart need more than kMaxKnots on an axis of the window.
void check_elastic_spacing(float spacing_pixels, const kernels::InputSpec& input);

}  // namespace gliograd
