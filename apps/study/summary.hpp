// Metrics: all that is said of one arm, computed from its prediction rows alone. The run folder's
// metrics.json, `stats` and the report show these numbers.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/study/auc.hpp"
#include "apps/study/bootstrap.hpp"
#include "apps/study/significance.hpp"
#include "data/splits.hpp"

namespace gliograd::study {

constexpr int kExploratoryBelow = 20;  // patients of the class

struct SummaryOptions {
  /// site: pairs within sites only. patient: all pairs, and the AUC is marked biased.
  data::SplitKind split = data::SplitKind::stratified;
  std::vector<std::string> classes = {};  // names; empty: their numbers
  BootstrapOptions bootstrap = {};
};

/// One class against the rest.
struct ClassMetrics {
  std::string name;
  double auc = 0;
  std::optional<Interval> ci;  // DeLong
  Interval bootstrap;
  int positives = 0;
  bool exploratory = false;  // under kExploratoryBelow patients
};

struct Metrics {
  double auc = 0;  // of class 1; of more than two classes their macro mean; mean over repeats
  std::optional<Interval> ci;
  std::string ci_method = "DeLong, given these models";
  Interval bootstrap;
  int n = 0;          // patients
  int positives = 0;  // of class 1; 0 where there are more than two classes
  bool exploratory = false;
  bool within_site = false;           // pairs of one site only
  bool biased = false;                // pooled leave-one-patient-out: each score has its own model
  Spread repeats;                     // over repeats and seeds
  std::vector<PartAuc> per_fold;      // of class 1; empty where there are more than two classes
  std::vector<PartAuc> per_site;      // the same; empty where no site is known
  std::vector<ClassMetrics> classes;  // of more than two classes
};

/// Errors: Error that names `name` for what gather() or auc_influence() refuse.
Metrics summarize(const std::vector<ScoredPatient>& rows, const std::string& name,
                  const SummaryOptions& options = {});

/// Runs of one arm (seeds) as repeats of one: (run, repeat) numbered anew. Errors: Error when the
/// runs differ in patients, labels or score columns, naming both.
std::vector<ScoredPatient> merge_runs(const std::vector<std::vector<ScoredPatient>>& runs,
                                      const std::vector<std::string>& names);

}  // namespace gliograd::study
