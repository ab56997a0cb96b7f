// A small cohort by hand for the tests of splits, sampling and the leak guard.
#pragma once
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace gliograd::test {

/// Patients P000, P001, ... with slices[p] slices of 2x2 pixels and one channel; sites A, B, C in
/// turn; areas 1, 2, 3, ... within a patient.
inline data::Dataset toy_set(const std::vector<int>& slices) {
  data::Dataset set;
  set.height = set.width = 2;
  set.channels = {"flair"};
  set.name = "toy";
  for (size_t p = 0; p < slices.size(); ++p) {
    data::Patient patient;
    patient.id = "P" + std::to_string(1000 + p).substr(1);
    patient.site = std::string(1, static_cast<char>('A' + p % 3));
    patient.present = {1};
    patient.affine = {{}};
    set.patients.push_back(patient);
    for (int s = 0; s < slices[p]; ++s) {
      set.slices.push_back({.patient = static_cast<int32_t>(p), .number = s + 1, .area = s + 1});
    }
  }
  set.slices_count = static_cast<int64_t>(set.slices.size());
  set.images.assign(set.slices_count * 4, 0);
  data::check_dataset(set);
  return set;
}

}  // namespace gliograd::test
