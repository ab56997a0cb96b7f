// Target: what is predicted, as written on the command line: "COLUMN=VALUE" or "COLUMN".
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace gliograd::study {

struct Target {
  std::string text;                  // as written
  std::vector<std::string> classes;  // {"rest", VALUE} for one against the rest
  std::vector<int32_t> labels;       // [P] class of each patient, -1 where left out
  bool one_against_rest = false;

  int class_count() const { return static_cast<int>(classes.size()); }
  int64_t labeled() const;
};

/// Errors: Error for an unknown column or class (the known ones are listed), a target with one
/// class only, or a class with fewer than three patients.
Target make_target(const data::Dataset& set, const std::string& text);

}  // namespace gliograd::study
