#include "tests/support/cohort.hpp"

#include <cmath>
#include <cstdio>

#include "data/random.hpp"

namespace gliograd::test {

data::Dataset tiny_cohort(const CohortOptions& options) {
  data::RandomSequence random({.seed = options.seed}, {.purpose = kernels::Purpose::phantom});
  const int size = options.size;
  data::Dataset set;
  set.name = "tiny cohort";
  set.digest = "tiny";
  set.height = set.width = size;
  set.channels = {"flair", "post"};
  data::LabelColumn subtype{"Subtype", {"1", "2"}, {}};
  data::CovariateColumn age{"age", {}};
  std::vector<data::CovariateColumn> shape = {
      {"inverse_bevr", {}}, {"angular_std", {}}, {"margin_fluctuation", {}}};
  for (int p = 0; p < options.patients; ++p) {
    char id[16];
    std::snprintf(id, sizeof id, "P%03d", p);
    const int label = p % 2;
    data::Patient patient;
    patient.id = id;
    patient.site = std::string(1, static_cast<char>('A' + p / 2 % 3));
    patient.present = {1, 1};
    patient.affine = {{1 / 64.0f, -1}, {1 / 64.0f, -1}};
    for (float& f : patient.fingerprint) f = static_cast<float>(random.bell());
    set.patients.push_back(patient);
    subtype.values.push_back(label);
    age.values.push_back(p == 3 ? NAN : 40 + 10 * label + 5 * random.bell());
    for (data::CovariateColumn& column : shape) column.values.push_back(label + random.bell());
    for (int s = 0; s < options.slices; ++s) {
      const int side = size / 4 + (label == 1 ? size / 4 : 0);
      const int y0 = (size - side) / 2, x0 = y0 + static_cast<int>(random.below(3)) - 1;
      data::Slice slice;
      slice.patient = p;
      slice.number = s + 1;
      slice.area = side * side;
      slice.box = {y0, x0, y0 + side, x0 + side};
      set.slices.push_back(slice);
      for (int y = 0; y < size; ++y) {
        for (int x = 0; x < size; ++x) {
          const bool inside = y >= y0 && y < y0 + side && x >= x0 && x < x0 + side;
          set.masks.push_back(inside && !options.blank);
          for (int c = 0; c < 2; ++c) {
            const double value = 60 + 12 * random.bell() + (inside ? 90 : 0);
            set.images.push_back(options.blank ? 64 : static_cast<uint8_t>(value));
          }
        }
      }
    }
  }
  set.slices_count = static_cast<int64_t>(set.slices.size());
  set.labels = {subtype};
  set.covariates = {age};
  set.shape = shape;
  data::check_dataset(set);
  return set;
}

}  // namespace gliograd::test
