// metrics.json of a run folder, and what `--json` prints.
#pragma once
#include <map>
#include <string>

#include "apps/study/summary.hpp"

namespace gliograd::cli {

struct RunMetrics {
  study::Metrics metrics;
  std::map<int, double> permutations;  // index to AUC
  double seconds = 0;                  // of all folds, summed
  int64_t peak_bytes = 0;              // resident set of the process
  bool assumed_disjoint = false;  // the user vouched for patients that the first weights have seen
};

std::string metrics_json(const RunMetrics& run);

/// The largest resident set of this process so far, in bytes.
int64_t peak_resident_bytes();

}  // namespace gliograd::cli
