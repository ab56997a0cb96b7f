#include "data/dataset.hpp"

#include <algorithm>
#include <cmath>

#include "engine/core/error.hpp"

namespace gliograd::data {
namespace {

constexpr float kLargestScore = 1e6;  // in robust standard deviations

template <class Column>
const Column& column_named(const std::vector<Column>& columns, const std::string& set,
                           const char* kind, const std::string& name) {
  std::string known;
  for (const Column& column : columns) {
    if (column.name == name) return column;
    known += (known.empty() ? "" : ", ") + column.name;
  }
  throw Error(concat_text(set, ": no ", kind, " column \"", name,
                          "\"; there are: ", known.empty() ? "none" : known));
}

void check_covariates(const Dataset& set, const std::vector<CovariateColumn>& columns) {
  for (const CovariateColumn& column : columns) {
    GG_CHECK(column.values.size() == set.patients.size(), set.name, ": column ", column.name,
             " has ", column.values.size(), " values for ", set.patients.size(), " patients");
    for (const double v : column.values) {
      GG_CHECK(!std::isinf(v), set.name, ": column ", column.name, " holds an infinity");
    }
  }
}

void check_patients(const Dataset& set) {
  const size_t c = set.channels.size();
  for (size_t p = 0; p < set.patients.size(); ++p) {
    const Patient& patient = set.patients[p];
    GG_CHECK(!patient.id.empty(), set.name, ": patient ", p, " has no id");
    GG_CHECK(p == 0 || set.patients[p - 1].id < patient.id, set.name,
             ": patients must be sorted by id and unique; at \"", patient.id, "\"");
    GG_CHECK(patient.present.size() == c && patient.affine.size() == c, set.name, ": patient ",
             patient.id, " needs one affine and one present flag for each of ", c, " channels");
    for (const Affine& affine : patient.affine) {
      GG_CHECK(std::isfinite(affine.a) && std::isfinite(affine.b) && affine.a > 0, set.name,
               ": patient ", patient.id, " has an intensity scale that is not finite and positive");
      GG_CHECK(255 * affine.a <= kLargestScore && std::abs(affine.b) <= kLargestScore, set.name,
               ": patient ", patient.id, " has an intensity scale beyond any image's, ", affine.a,
               " and ", affine.b);
    }
  }
}

void check_slices(const Dataset& set) {
  std::vector<bool> has_slice(set.patients.size());
  for (const Slice& slice : set.slices) {
    if (slice.patient >= 0 && slice.patient < set.patient_count()) has_slice[slice.patient] = true;
  }
  for (size_t p = 0; p < set.patients.size(); ++p) {
    GG_CHECK(has_slice[p], set.name, ": patient ", set.patients[p].id, " has no slice");
  }
  for (int64_t n = 0; n < set.slices_count; ++n) {
    const Slice& slice = set.slices[n];
    GG_CHECK(slice.patient >= 0 && slice.patient < set.patient_count(), set.name, ": slice ", n,
             " belongs to patient ", slice.patient, " of ", set.patient_count());
    GG_CHECK(slice.area >= 0, set.name, ": slice ", n, " has a negative area");
    if (n == 0) continue;
    const Slice& before = set.slices[n - 1];
    GG_CHECK(before.patient < slice.patient ||
                 (before.patient == slice.patient && before.number < slice.number),
             set.name, ": slices must be sorted by patient and number and unique; patient ",
             set.patients[slice.patient].id, " slice ", slice.number);
  }
}

}  // namespace

const LabelColumn& label_column(const Dataset& set, const std::string& name) {
  return column_named(set.labels, set.name, "label", name);
}

const CovariateColumn& covariate_column(const Dataset& set, const std::string& name) {
  return column_named(set.covariates, set.name, "covariate", name);
}

int64_t first_slice(const Dataset& set, int64_t patient) {
  const auto at = std::partition_point(set.slices.begin(), set.slices.end(),
                                       [&](const Slice& s) { return s.patient < patient; });
  return at - set.slices.begin();
}

void check_dataset(const Dataset& set) {
  GG_CHECK(set.slices_count > 0 && set.height > 0 && set.width > 0 && !set.channels.empty(),
           set.name, ": needs at least one slice, pixel and channel");
  const int64_t pixels = set.slices_count * set.height * set.width;
  GG_CHECK(static_cast<int64_t>(set.images.size()) == pixels * set.channel_count(), set.name,
           ": images hold ", set.images.size(), " bytes, expected ", pixels * set.channel_count());
  GG_CHECK(set.masks.empty() || static_cast<int64_t>(set.masks.size()) == pixels, set.name,
           ": masks hold ", set.masks.size(), " bytes, expected ", pixels);
  GG_CHECK(static_cast<int64_t>(set.slices.size()) == set.slices_count, set.name, ": ",
           set.slices.size(), " slice records for ", set.slices_count, " slices");
  check_patients(set);
  check_slices(set);
  for (const LabelColumn& column : set.labels) {
    GG_CHECK(column.values.size() == set.patients.size(), set.name, ": label column ", column.name,
             " has ", column.values.size(), " values for ", set.patients.size(), " patients");
    for (size_t k = 1; k < column.classes.size(); ++k) {
      const auto here = column.classes.begin() + static_cast<int64_t>(k);
      GG_CHECK(std::find(column.classes.begin(), here, *here) == here, set.name, ": label column ",
               column.name, " has the class \"", *here, "\" twice");
    }
    for (const int32_t v : column.values) {
      GG_CHECK(v >= -1 && v < static_cast<int32_t>(column.classes.size()), set.name,
               ": label column ", column.name, " holds ", v, ", beyond its ", column.classes.size(),
               " classes");
    }
  }
  check_covariates(set, set.covariates);
  check_covariates(set, set.shape);
}

}  // namespace gliograd::data
