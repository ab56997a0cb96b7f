#include "apps/study/fused_features.hpp"

#include <algorithm>
#include <cmath>

#include "apps/study/baselines.hpp"
#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

std::vector<const data::CovariateColumn*> columns_named(const data::Dataset& set,
                                                        const std::vector<std::string>& names) {
  std::vector<const data::CovariateColumn*> columns;
  for (const std::string& name : names) {
    if (name != "shape") {
      columns.push_back(&covariate_named(set, name));
      continue;
    }
    for (const char* feature : {"inverse_bevr", "angular_std", "margin_fluctuation"}) {
      const auto found = std::find_if(set.shape.begin(), set.shape.end(),
                                      [&](const auto& column) { return column.name == feature; });
      if (found == set.shape.end()) {
        throw Error(concat_text(set.name, ": no shape feature ", feature,
                                "; prepare the set with masks to fuse \"shape\""));
      }
      columns.push_back(&*found);
    }
  }
  for (auto column = columns.begin(); column != columns.end(); ++column) {
    if (std::find(columns.begin(), column, *column) != column) {
      throw Error(concat_text("fuse: ", (*column)->name, " is named twice"));
    }
  }
  return columns;
}

}  // namespace

FusedFeatures fuse_features(const data::Dataset& set, const std::vector<std::string>& names,
                            const std::vector<int32_t>& training) {
  FusedFeatures fused;
  std::vector<std::vector<float>> table;  // [feature][patient]
  for (const data::CovariateColumn* column : columns_named(set, names)) {
    double sum = 0, squares = 0;
    int64_t known = 0;
    for (const int32_t p : training) {
      const double v = column->values[p];
      if (std::isnan(v)) continue;
      sum += v;
      ++known;
    }
    const double mean = known > 0 ? sum / static_cast<double>(known) : 0;
    for (const int32_t p : training) {
      const double v = column->values[p];
      if (!std::isnan(v)) squares += (v - mean) * (v - mean);
    }
    const double deviation = known > 1 ? std::sqrt(squares / static_cast<double>(known - 1)) : 0;
    std::vector<float> values, missing;
    for (const double v : column->values) {
      const bool gone = std::isnan(v);
      values.push_back(gone || deviation == 0 ? 0.0f : static_cast<float>((v - mean) / deviation));
      missing.push_back(gone ? 1.0f : 0.0f);
    }
    table.push_back(std::move(values));
    fused.names.push_back(column->name);
    if (std::find(missing.begin(), missing.end(), 1.0f) != missing.end()) {
      table.push_back(std::move(missing));
      fused.names.push_back(column->name + " missing");
    }
  }
  fused.count = static_cast<int64_t>(table.size());
  fused.values.resize(set.patients.size() * table.size());
  for (size_t f = 0; f < table.size(); ++f) {
    for (size_t p = 0; p < set.patients.size(); ++p) {
      fused.values[p * table.size() + f] = table[f][p];
    }
  }
  return fused;
}

}  // namespace gliograd::study
