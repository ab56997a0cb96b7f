// Percentile bootstrap of patients (Efron & Tibshirani 1993, chapters 13 and 16): 2,000 draws,
// within class, all repeats of a patient together. Draw d of a seed is the same resample for every
// arm with the same patients, so differences of arms are paired. Like DeLong's, these intervals are
// given the models: nothing is trained again.
#pragma once
#include <cstdint>
#include <vector>

#include "apps/study/auc.hpp"

namespace gliograd::study {

struct BootstrapOptions {
  int draws = 2000;
  uint32_t seed = 1;
};

/// Resamples of n patients within their classes.
class PatientDraws {
 public:
  /// classes: [n] class of each patient, 0 up.
  PatientDraws(const std::vector<int32_t>& classes, uint32_t seed);
  /// counts[i]: how often patient i stands in resample `draw`, [n]; each class keeps its size.
  void counts(int draw, std::vector<int32_t>& counts) const;

 private:
  std::vector<std::vector<int32_t>> members_;  // [class][...] patients
  uint32_t seed_;
  size_t patients_;
};

/// Scores sorted once, so that a resample's AUC costs one pass.
class SortedScores {
 public:
  explicit SortedScores(const Scores& scores);
  /// AUC of a resample (mean over repeats); NaN where no stratum holds both classes.
  double auc(const std::vector<int32_t>& counts) const;
  /// Mean ROC of a resample over repeats and strata (weighted by their pairs): the largest true
  /// positive rate at the false positive rates 0, 1/grid, ..., 1; vertices joined by straight
  /// lines. rates: [grid + 1]. False where no stratum holds both classes.
  bool roc(const std::vector<int32_t>& counts, int grid, std::vector<double>& rates) const;

 private:
  struct Entry {
    int32_t patient;
    bool positive;
    bool last_of_tie;  // the next one of this order scores higher
  };
  std::vector<std::vector<std::vector<Entry>>> orders_;  // [R][stratum] by ascending score
};

/// Quantile of `values`, between order statistics by straight lines (type 7 of Hyndman & Fan 1996).
/// 0 <= q <= 1; values not empty, none NaN.
double quantile(std::vector<double> values, double q);
/// 2.5 % and 97.5 % points.
Interval percentile_interval(const std::vector<double>& values);

/// The AUCs of all resamples; those in which no site holds both classes (leave-one-site-out of few
/// patients) are left out. Errors: Error for draws < 1 and where auc_influence has one.
std::vector<double> bootstrap_aucs(const Scores& scores, const BootstrapOptions& options);
Interval bootstrap_interval(const Scores& scores, const BootstrapOptions& options = {});
/// Of the difference, a minus b. Errors: Error when the arms differ in patients, classes or strata.
Interval paired_bootstrap_interval(const Scores& a, const Scores& b,
                                   const BootstrapOptions& options = {});
/// Of the macro mean (macro_influence); patients drawn within all classes.
std::vector<double> macro_bootstrap_aucs(const Gathered& patients, bool within_site,
                                         const std::string& name, const BootstrapOptions& options);
Interval macro_bootstrap_interval(const Gathered& patients, bool within_site,
                                  const std::string& name, const BootstrapOptions& options = {});

/// The ROC with a pointwise 95 % band from the same resamples. (A pointwise band says where the
/// curve may be at one false positive rate, not where all of it lies.)
struct RocPoint {
  double false_positive_rate = 0;
  double true_positive_rate = 0;
  double low = 0;
  double high = 1;
};
std::vector<RocPoint> roc_band(const Scores& scores, const BootstrapOptions& options = {},
                               int grid = 100);

}  // namespace gliograd::study
