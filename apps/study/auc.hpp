// AUC: the chance that a patient of the class scores above one who is not of it, ties one half;
// its DeLong interval; and the paired DeLong test of two arms. The unit is the patient: of several
// repeats the AUCs are averaged and so are a patient's placement values, so repeats never count as
// more patients. Scores count as written (9 decimals).
// Order: gather rows by patient -> ask one question of them -> AUC and influences -> intervals.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/study/predictions.hpp"

namespace gliograd::study {

/// Prediction rows by patient: n patients sorted by id, R repeats, c score columns.
struct Gathered {
  std::vector<std::string> ids, sites;                   // [n]
  std::vector<int32_t> labels;                           // [n]
  std::vector<int> repeats;                              // [R] as numbered in the rows, ascending
  std::vector<std::vector<int32_t>> folds;               // [R][n]
  std::vector<std::vector<std::vector<double>>> scores;  // [R][c][n], as written
  int columns() const { return static_cast<int>(scores.front().size()); }
  /// Classes that can be asked about: 2 where there is one score column, else one a column.
  int class_count() const { return columns() == 1 ? 2 : columns(); }
};
/// Errors: Error where check_predictions has one, or that names a patient without a row in one of
/// the repeats.
Gathered gather(const std::vector<ScoredPatient>& rows, const std::string& name);

/// One question: who is positive, and what each repeat said.
struct Scores {
  std::vector<uint8_t> positive;             // [n] 1 or 0
  std::vector<std::vector<double>> repeats;  // [R][n], as written
  /// [n] from 0 up: only pairs of one stratum are compared (leave-one-site-out compares patients of
  /// one site, who were scored by one model). Empty: all pairs.
  std::vector<int32_t> stratum;
  std::string name;  // for messages: file or arm
};
/// Class `positive` against the rest (with one score column: 1, the only one).
Scores against_rest(const Gathered& patients, int positive, bool within_site,
                    const std::string& name);

/// How the AUC hangs on each patient. `auc` is the mean over repeats; `influence[i]` is what
/// patient i adds to its linear approximation, [n], summing to 0 within each class.
struct Influence {
  double auc = 0;
  std::vector<double> influence;
  std::vector<double> repeat_auc;  // [R]
};
/// Time n log n a repeat: one sort yields all placement values (Sun & Xu 2014, IEEE Signal
/// Processing Letters 21:1389). Within strata the AUC is a ratio, (pairs won) / (pairs), and the
/// influence is the ratio's.
/// Errors: Error for a score that is not finite, one class only, or no pair in any stratum.
Influence auc_influence(const Scores& scores);
double auc(const Scores& scores);

struct Interval {
  double low = 0;
  double high = 1;
};
/// Variance from influences under sampling of patients within class: the sum over classes k of
/// n_k/(n_k - 1) * sum (influence - its class mean)^2. With two classes and one repeat this is
/// DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837. None where a class has one patient.
std::optional<double> influence_variance(const std::vector<double>& influence,
                                         const std::vector<int32_t>& classes);
/// 95 % on the plain scale, clipped to [0, 1]. None where a class has one patient. It is given
/// these models: it does not hold what other training patients or seeds would have changed.
std::optional<Interval> delong_interval(const Scores& scores);

/// Difference of two arms on the same patients, a minus b.
struct PairedTest {
  double difference = 0;
  std::optional<double> standard_error;
  std::optional<Interval> interval;  // 95 %, plain scale, within [-1, 1]
  /// Two-sided. None where the difference has no variance to be judged by, though it is not 0.
  std::optional<double> p;
};
/// DeLong's paired test. Errors: Error when the arms differ in patients, classes or strata.
PairedTest paired_delong(const Scores& a, const Scores& b);

/// The same of the mean of all classes' one-against-rest AUCs (the macro mean; with one score
/// column it is the AUC of class 1). Influences sum to 0 over all patients, not within each class.
Influence macro_influence(const Gathered& patients, bool within_site, const std::string& name);
struct MacroAuc {
  double auc = 0;
  std::optional<Interval> interval;  // 95 %, by influences, patients drawn within all classes
};
MacroAuc macro_auc(const Gathered& patients, bool within_site, const std::string& name);
/// DeLong's paired test of macro means. Errors: Error when the arms differ in patients, classes or
/// score columns.
PairedTest paired_macro(const Gathered& a, const Gathered& b, bool within_site,
                        const std::string& name_a, const std::string& name_b);

}  // namespace gliograd::study
