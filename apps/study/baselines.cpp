#include "apps/study/baselines.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <set>

#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

struct RawFeature {
  const char* name;
  double sign;  // of the association with class 1, fixed beforehand: irregular, large, scattered
};
constexpr std::array<RawFeature, 5> kRawShape = {{{"inverse_bevr", 1},
                                                  {"angular_std", 1},
                                                  {"margin_fluctuation", 1},
                                                  {"area", 1},
                                                  {"extent", -1}}};
constexpr std::array<const char*, 3> kFittedShape = {"inverse_bevr", "angular_std",
                                                     "margin_fluctuation"};
constexpr std::array<const char*, 2> kSize = {"area", "volume"};

const data::CovariateColumn* shape_column(const data::Dataset& set, const std::string& name) {
  for (const data::CovariateColumn& column : set.shape) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

// Probabilities of all patients in one fold, learned from `training`: [K] for each test patient.
using Predictor = std::function<std::vector<std::vector<double>>(
    const std::vector<int32_t>& training, const std::vector<int32_t>& test)>;

struct Study {
  const data::Dataset& set;
  const Target& target;
  const data::Split& split;
  const BaselineOptions& options;

  ScoredPatient row(int32_t patient, int repeat, int fold) const {
    const data::Patient& who = set.patients[patient];
    return {who.id, who.site, repeat, fold, target.labels[patient], {}};
  }
};

std::vector<ScoredPatient> raw_rows(const Study& study, const std::vector<double>& values,
                                    double sign) {
  std::vector<ScoredPatient> rows;
  for (int r = 0; r < study.split.repeats; ++r) {
    for (int f = 0; f < study.split.folds; ++f) {
      for (const int32_t p : data::test_patients(study.split, r, f)) {
        if (std::isnan(values[p])) continue;
        ScoredPatient& row = rows.emplace_back(study.row(p, r, f));
        row.scores = {sign * values[p]};
      }
    }
  }
  return rows;
}

std::vector<ScoredPatient> fitted_rows(const Study& study, const Predictor& predict) {
  std::vector<ScoredPatient> rows;
  const int classes = study.target.class_count();
  for (int r = 0; r < study.split.repeats; ++r) {
    for (int f = 0; f < study.split.folds; ++f) {
      const std::vector<int32_t> test = data::test_patients(study.split, r, f);
      const auto probabilities = predict(data::training_patients(study.split, r, f), test);
      for (size_t i = 0; i < test.size(); ++i) {
        ScoredPatient& row = rows.emplace_back(study.row(test[i], r, f));
        row.scores = probabilities[i];
        if (classes == 2) row.scores = {probabilities[i][1]};
      }
    }
  }
  return rows;
}

// One column a site that occurs in training, 1 for its patients; the others have none.
FeatureColumns site_columns(const data::Dataset& set, const std::vector<int32_t>& training) {
  std::set<std::string> sites;
  for (const int32_t p : training) sites.insert(set.patients[p].site);
  FeatureColumns columns;
  for (const std::string& site : sites) {
    std::vector<double>& column = columns.emplace_back();
    for (const data::Patient& patient : set.patients) column.push_back(patient.site == site);
  }
  return columns;
}

Predictor logistic_of(const Study& study, FeatureColumns columns, bool with_site = false) {
  return [&study, columns = std::move(columns), with_site](const auto& training, const auto& test) {
    FeatureColumns all = columns;
    if (with_site) {
      for (auto& column : site_columns(study.set, training)) all.push_back(std::move(column));
    }
    const Standardizer standardizer(all, training);
    std::vector<std::vector<double>> rows, out;
    std::vector<int32_t> labels;
    for (const int32_t p : training) {
      rows.push_back(standardizer.row(all, p));
      labels.push_back(study.target.labels[p]);
    }
    const LogisticModel model =
        fit_logistic(rows, labels, study.target.class_count(), study.options.logistic);
    for (const int32_t p : test) out.push_back(model.probabilities(standardizer.row(all, p)));
    return out;
  };
}

// P(class | site) under balanced priors from the training patients' rates P(site | class), half a
// patient added to each; a site nobody in training came from says nothing.
Predictor site_rates(const Study& study) {
  return [&study](const auto& training, const auto& test) {
    const int classes = study.target.class_count();
    std::map<std::string, std::vector<double>> counts;
    std::vector<double> totals(classes, 0);
    for (const int32_t p : training) {
      auto& of_site = counts[study.set.patients[p].site];
      of_site.resize(classes, 0.5);
      of_site[study.target.labels[p]] += 1;
      totals[study.target.labels[p]] += 1;
    }
    std::vector<std::vector<double>> out;
    for (const int32_t p : test) {
      std::vector<double>& scores = out.emplace_back(classes, 1.0 / classes);
      const auto found = counts.find(study.set.patients[p].site);
      if (found == counts.end()) continue;
      double sum = 0;
      for (int k = 0; k < classes; ++k) {
        scores[k] = found->second[k] / (totals[k] + 0.5 * static_cast<double>(counts.size()));
        sum += scores[k];
      }
      for (double& score : scores) score /= sum;
    }
    return out;
  };
}

// Whether patients differ in any column: a shortcut that is the same for all is no baseline.
bool varies(const FeatureColumns& columns, const std::vector<int32_t>& labels) {
  for (const std::vector<double>& column : columns) {
    std::set<double> values;
    for (size_t p = 0; p < column.size(); ++p) {
      if (labels[p] >= 0 && !std::isnan(column[p])) values.insert(column[p]);
    }
    if (values.size() > 1) return true;
  }
  return false;
}

void append(FeatureColumns& all, const FeatureColumns& more) {
  all.insert(all.end(), more.begin(), more.end());
}

void add_raw(const Study& study, std::vector<Baseline>& out) {
  const auto add = [&](const std::string& name, const std::vector<double>& values, double sign) {
    std::vector<ScoredPatient> rows = raw_rows(study, values, sign);
    // Without both classes among those who have the value there is nothing to rank.
    std::set<int> labels;
    for (const ScoredPatient& row : rows) labels.insert(row.label);
    if (labels.size() == 2) out.push_back({name, BaselineKind::raw, std::move(rows)});
  };
  if (study.target.class_count() != 2) return;
  for (const RawFeature& feature : kRawShape) {
    if (const auto* column = shape_column(study.set, feature.name)) {
      add(feature.name, column->values, feature.sign);
    }
  }
  for (const std::string& name : study.options.covariates) {
    add(name, covariate_named(study.set, name).values, 1);
  }
}

void add_fitted(const Study& study, std::vector<Baseline>& out) {
  const auto add = [&](const std::string& name, const FeatureColumns& columns) {
    if (columns.empty()) return;
    out.push_back({"logistic: " + name, BaselineKind::fitted,
                   fitted_rows(study, logistic_of(study, columns))});
  };
  const auto shape_of = [&](const auto& names) {
    FeatureColumns columns;
    for (const char* name : names) {
      if (const auto* column = shape_column(study.set, name)) columns.push_back(column->values);
    }
    return columns;
  };
  const FeatureColumns shape = shape_of(kFittedShape), size = shape_of(kSize),
                       ratio = shape_of(std::array<const char*, 1>{kFittedShape[0]});
  add("shape", shape);
  add("size", size);
  FeatureColumns covariates;
  std::string names;
  for (const std::string& name : study.options.covariates) {
    const FeatureColumns own = {covariate_named(study.set, name).values};
    add(name, own);
    append(covariates, own);
    names += " + " + name;
  }
  for (const auto& [name, columns] : {std::make_pair("inverse_bevr", ratio), {"shape", shape}}) {
    if (columns.empty() || covariates.empty()) continue;
    FeatureColumns joined = columns;
    append(joined, covariates);
    add(name + names, joined);
  }
}

void add_shortcuts(const Study& study, std::vector<Baseline>& out) {
  const std::vector<int32_t>& labels = study.target.labels;
  int present = 0;
  FeatureColumns all;
  const auto add = [&](const std::string& name, const FeatureColumns& columns) {
    if (!varies(columns, labels)) return;
    out.push_back({name, BaselineKind::shortcut, fitted_rows(study, logistic_of(study, columns))});
    append(all, columns);
    ++present;
  };
  std::set<std::string> sites;
  for (size_t p = 0; p < labels.size(); ++p) {
    if (labels[p] >= 0) sites.insert(study.set.patients[p].site);
  }
  const bool with_site = sites.size() > 1;
  if (with_site) {
    out.push_back({"site", BaselineKind::shortcut, fitted_rows(study, site_rates(study))});
    ++present;
  }
  add("sequences", sequence_columns(study.set));
  add("slice count", slice_count_columns(study.set));
  add("background", background_columns(study.set));
  add("intensity scale", intensity_columns(study.set));
  if (present > 1) {
    out.push_back({"all shortcuts", BaselineKind::shortcut,
                   fitted_rows(study, logistic_of(study, all, with_site))});
  }
}

}  // namespace

const char* name_of(BaselineKind kind) {
  switch (kind) {
    case BaselineKind::raw: return "raw";
    case BaselineKind::fitted: return "fitted";
    case BaselineKind::shortcut: return "shortcut";
  }
  return "";
}

const data::CovariateColumn& covariate_named(const data::Dataset& set, const std::string& name) {
  const data::CovariateColumn* found = nullptr;
  int matches = 0;
  for (const data::CovariateColumn& column : set.covariates) {
    if (column.name == name) return column;
    if (column.name.rfind(name + "_", 0) != 0) continue;
    found = &column;
    ++matches;
  }
  return matches == 1 ? *found : data::covariate_column(set, name);  // the latter throws
}

std::vector<std::string> age_columns(const data::Dataset& set) {
  try {
    covariate_named(set, "age");
  } catch (const Error&) {
    return {};
  }
  return {"age"};
}

FeatureColumns sequence_columns(const data::Dataset& set) {
  FeatureColumns columns(set.channels.size());
  for (size_t c = 0; c < set.channels.size(); ++c) {
    for (const data::Patient& patient : set.patients) columns[c].push_back(patient.present[c]);
  }
  return columns;
}

FeatureColumns slice_count_columns(const data::Dataset& set) {
  FeatureColumns columns(1, std::vector<double>(set.patients.size(), 0));
  for (const data::Slice& slice : set.slices) columns[0][slice.patient] += 1;
  return columns;
}

FeatureColumns background_columns(const data::Dataset& set) {
  const int64_t channels = set.channel_count(), pixels = set.height * set.width;
  std::vector<std::vector<std::array<int64_t, 256>>> histograms(
      channels, std::vector<std::array<int64_t, 256>>(set.patients.size()));
  for (auto& of_channel : histograms) {
    for (auto& histogram : of_channel) histogram.fill(0);
  }
  for (int64_t n = 0; n < set.slices_count; ++n) {
    const uint8_t* image = set.image(n);
    for (int64_t i = 0; i < pixels; ++i) {
      for (int64_t c = 0; c < channels; ++c) {
        ++histograms[c][set.slices[n].patient][image[i * channels + c]];
      }
    }
  }
  FeatureColumns columns(channels);
  for (int64_t c = 0; c < channels; ++c) {
    for (const auto& histogram : histograms[c]) {
      int64_t total = 0, below = 0;
      for (int v = 1; v < 256; ++v) total += histogram[v];
      int level = 1;
      for (; level < 256; ++level) {
        below += histogram[level];
        if (below * 20 >= total) break;
      }
      columns[c].push_back(total > 0 ? level : kMissing);
    }
  }
  return columns;
}

FeatureColumns intensity_columns(const data::Dataset& set) {
  FeatureColumns columns;
  for (size_t c = 0; c < set.channels.size(); ++c) {
    std::vector<double> median, spread;
    for (const data::Patient& patient : set.patients) {  // a * u8 + b = (u8 - median) / spread
      const data::Affine& affine = patient.affine[c];
      median.push_back(-static_cast<double>(affine.b) / affine.a);
      spread.push_back(1.0 / affine.a);
    }
    columns.push_back(std::move(median));
    columns.push_back(std::move(spread));
  }
  return columns;
}

std::vector<Baseline> baselines(const data::Dataset& set, const Target& target,
                                const data::Split& split, const BaselineOptions& options) {
  GG_CHECK(target.labels.size() == set.patients.size(), "baselines: ", target.labels.size(),
           " labels for ", set.patients.size(), " patients of ", set.name);
  for (const std::vector<int32_t>& fold_of : split.fold_of) {
    GG_CHECK(fold_of.size() == set.patients.size(), "baselines: a split of ", fold_of.size(),
             " patients for ", set.patients.size(), " of ", set.name);
  }
  const Study study{set, target, split, options};
  std::vector<Baseline> out;
  add_raw(study, out);
  add_fitted(study, out);
  add_shortcuts(study, out);
  return out;
}

}  // namespace gliograd::study
