// The table of arms, as `stats` and `baselines` print it and as `--json` gives it.
#pragma once
#include <string>

#include "apps/study/comparison.hpp"

namespace gliograd::cli {

struct ArmTableOptions {
  std::string target;  // for the title; empty where unknown
  bool paired = true;  // differences from the reference
};

/// Lines of text: one an arm (and one a class where there are more than two), then what must be
/// said of the numbers.
std::string arm_table(const study::Comparison& comparison, const ArmTableOptions& options);

/// The same as a JSON object.
std::string arm_json(const study::Comparison& comparison, const ArmTableOptions& options);

}  // namespace gliograd::cli
