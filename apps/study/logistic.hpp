// Logistic regression for the baselines: few numbers a patient, an L2 penalty, classes weighted so
// that they count equally (scores are probabilities under balanced priors, as the networks' are).
// Newton's method on the penalized likelihood (McCullagh & Nelder 1989, section 4.4): strictly
// convex but for the intercepts, so there is one answer and no setting to tune.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace gliograd::study {

/// Numbers of patients, NaN where missing: columns[f][p].
using FeatureColumns = std::vector<std::vector<double>>;

/// What turns columns into standard scores, learned from the training patients alone: a missing
/// value becomes their mean, an indicator column follows each feature that some of them lack, and
/// all columns are then centered and divided by their standard deviation (divisor n; a constant
/// column becomes 0).
class Standardizer {
 public:
  Standardizer(const FeatureColumns& columns, const std::vector<int32_t>& training);
  /// Of one patient: features, each followed by its indicator where it has one.
  std::vector<double> row(const FeatureColumns& columns, int32_t patient) const;

 private:
  struct Column {
    double mean = 0, deviation = 0;
    bool has_indicator = false;
    double missing_mean = 0, missing_deviation = 0;
  };
  std::vector<Column> columns_;
};

struct LogisticOptions {
  double penalty = 1;           // lambda: adds lambda / 2 * |w|^2 (scikit-learn's 1 / C)
  bool balance_classes = true;  // weight n / (K n_k) for a patient of class k
};

/// Two classes: one weight vector, for class 1. More: one each, joined by a softmax. Intercepts are
/// not penalized.
struct LogisticModel {
  int classes = 0;
  std::vector<std::vector<double>> weights;  // [1 or K][F + 1], the intercept last
  /// Probability of each class, [K], summing to 1.
  std::vector<double> probabilities(const std::vector<double>& row) const;
};

/// rows: [n][F] finite; labels: [n] in [0, classes). Newton with step halving, to a gradient of
/// 1e-10 of the summed weights. Errors: Error for no rows, unequal rows, what is not finite, a
/// class without a row, or a penalty that is not positive; WorkError when it does not converge.
LogisticModel fit_logistic(const std::vector<std::vector<double>>& rows,
                           const std::vector<int32_t>& labels, int classes,
                           const LogisticOptions& options = {});

}  // namespace gliograd::study
