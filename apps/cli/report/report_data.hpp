// What a report shows, read from a run folder and computed from its prediction rows; nothing here
// knows HTML. Parts that a run does not have stay empty, and `missing` says why.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/study/auc.hpp"
#include "apps/study/bootstrap.hpp"
#include "apps/study/summary.hpp"
#include "data/dataset.hpp"

namespace gliograd::cli::report {

struct ReportOptions {
  std::string run;     // the run folder
  std::string data;    // the prepared set; empty: the one that config.toml names
  std::string ledger;  // empty: looks.csv beside the prepared set
  std::string note;    // a line of the author's, shown at the top
};

/// One row of the comparison table: the network, or something simpler in the same folds.
struct Arm {
  std::string name;
  std::string kind;
  int n = 0;
  int positives = 0;
  double auc = 0;
  std::optional<study::Interval> ci;
  std::optional<study::PairedTest> paired;  // network minus this one, on this one's patients
  std::optional<double> p_holm;             // of `paired`, corrected for all rows of the table
  bool shortcut = false;                    // should say nothing about the tumor
};

/// One line of a fold's history.csv. NaN where there was no inner network.
struct Epoch {
  double number = 0, train_loss = 0, inner_loss = 0, inner_auc = 0;
};

struct Looks {
  int count = 0;
  std::string ledger;
};

/// The slice with the most tumor of one patient, as the network's window shows it.
struct Example {
  std::string patient, why;
  int label = 0;
  double score = 0;
  int slice = 0;
  int64_t height = 0, width = 0;  // of one channel
  std::vector<std::string> channels;
  std::vector<std::vector<uint8_t>> gray;  // [C][H * W], stretched for the eye
  std::vector<uint8_t> mask;               // [H * W] 0 or 1; empty where the set has none
};

struct ReportData {
  std::string run, target, note;
  std::vector<std::string> classes;  // as shown: "rest", "COCCluster 2"
  bool binary = true;
  std::map<std::string, std::string> config;
  study::Metrics metrics;
  study::Gathered patients;
  std::vector<std::vector<study::RocPoint>> roc;  // of class 1; else one a class
  std::vector<std::vector<Epoch>> curves;         // [fold]
  std::vector<double> permutations;
  std::vector<Arm> arms;  // the network first
  std::optional<Looks> looks;
  std::vector<Example> examples;
  std::optional<double> seconds, peak_bytes;  // from metrics.json
  /// "curves", "permutations", "arms", "looks", "examples": why it is not there.
  std::map<std::string, std::string> missing;
};

/// Errors: Error in one line that names the file, when the folder is not a finished run, when any
/// file in it is damaged or contradicts another, or when a set or ledger that was named by an
/// option does not fit.
ReportData read_report(const ReportOptions& options);

/// Eight patients (fewer where there are fewer): of both classes those scored highest and lowest.
/// `window`: the center cut that the network saw, in pixels; 0 shows all that is stored.
/// Errors: Error when a scored patient is not in the set.
std::vector<Example> choose_examples(const data::Dataset& set, const study::Gathered& patients,
                                     const std::vector<std::string>& classes, int64_t window);

}  // namespace gliograd::cli::report
