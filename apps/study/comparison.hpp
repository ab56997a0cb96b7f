// Several arms in one table: each with its AUC and intervals, all tested in pairs against one of
// them on the patients that all arms have.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/study/summary.hpp"

namespace gliograd::study {

/// One arm: one or several runs (seeds) of it.
struct Arm {
  std::string name;
  std::vector<std::vector<ScoredPatient>> runs;
  std::vector<std::string> run_names;  // for messages, one a run
  data::SplitKind split = data::SplitKind::stratified;
  std::string note;  // what must be said beside every number of it
};

struct ArmResult {
  std::string name;
  std::string note;
  Metrics metrics;  // of all runs together
  Spread seeds;     // of the runs' own AUCs
  /// This arm less the reference, on the patients of all arms. None for the reference itself, and
  /// where the two were split so that their AUCs compare other pairs.
  std::optional<PairedTest> paired;
  std::optional<Interval> paired_bootstrap;
  std::optional<double> p_holm;
};

struct Comparison {
  size_t reference = 0;
  int common_patients = 0;  // in all arms
  std::vector<ArmResult> arms;
};

struct ComparisonOptions {
  size_t reference = 0;
  std::vector<std::string> classes = {};  // names; empty: their numbers
  BootstrapOptions bootstrap = {};
};

/// Errors: Error when there is no arm, when two arms differ in the label or the site of a patient
/// or in their score columns (named), and where summarize or merge_runs has one.
Comparison compare_arms(const std::vector<Arm>& arms, const ComparisonOptions& options = {});

}  // namespace gliograd::study
