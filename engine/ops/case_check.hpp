// All cases on one machine, within a time: what `gliograd doctor --check` runs.
#pragma once
#include <functional>

#include "engine/ops/case.hpp"

namespace gliograd {

/// One op's comparisons on one device, added up.
struct CaseTally {
  std::string name;
  int compared = 0;
  int failed = 0;
  int skipped = 0;   // rows left out for lack of time, or because the device had failed before
  double worst = 0;  // largest error as a share of its tolerance
  std::vector<CaseOutcome> failures;
};

struct CaseCheckOptions {
  double seconds = 60;  // rows beyond it are left out
  uint64_t seed = 0;
  std::function<void()> between = [] {};  // called before each row; may throw, to stop
};

/// A tally a case for each device. `gpu` is empty where there was no GPU stream.
struct CaseCheck {
  std::vector<CaseTally> cpu, gpu;
};

/// On the CPU: f32 and bf16 against the f64 reference, and the reference's gradients against
/// differences. On the GPU: f32, bf16 and f16 against the reference; what the device refuses is a
/// failure, and the rest of its rows are skipped. Small rows first, layers of real size then.
CaseCheck check_cases(const std::vector<Case>& cases, Stream& cpu, Stream* gpu,
                      const CaseCheckOptions& options);

}  // namespace gliograd
