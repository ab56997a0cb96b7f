#include "engine/ops/case_check.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/core/error.hpp"

namespace gliograd {
namespace {

using Clock = std::chrono::steady_clock;

void add(CaseTally& tally, const std::vector<CaseOutcome>& outcomes) {
  for (const CaseOutcome& one : outcomes) {
    ++tally.compared;
    if (one.passed) {
      tally.worst = std::max(tally.worst, one.error / one.tolerance);
    } else {
      ++tally.failed;
      tally.failures.push_back(one);
      // NaN, or a device's refusal, is beyond any tolerance.
      const double share = one.error / one.tolerance;
      tally.worst = std::isfinite(share) ? std::max(tally.worst, share) : INFINITY;
    }
  }
}

void add_type(CaseTally& tally, const Case& c, const CaseRow& row, Stream& stream, uint64_t seed,
              DType dtype) {
  std::vector<CaseOutcome> outcomes = compare_paths(c, row, stream, seed, dtype);
  for (CaseOutcome& one : outcomes) one.where += concat_text(", ", dtype);
  add(tally, outcomes);
}

// One row on the GPU in each of its types. False where the device failed.
bool add_gpu(CaseTally& tally, const Case& c, const CaseRow& row, Stream& gpu, uint64_t seed) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    try {
      add_type(tally, c, row, gpu, seed, dtype);
    } catch (const kernels::DeviceError& error) {
      add(tally, {{concat_text(c.name, " / ", row.label, ", ", dtype, ": ", error.what()), NAN, 0,
                   false}});
      return false;
    }
  }
  return true;
}

std::vector<CaseTally> fresh_tallies(const std::vector<Case>& cases) {
  std::vector<CaseTally> tallies(cases.size());
  for (size_t i = 0; i < cases.size(); ++i) tallies[i].name = cases[i].name;
  return tallies;
}

}  // namespace

CaseCheck check_cases(const std::vector<Case>& cases, Stream& cpu, Stream* gpu,
                      const CaseCheckOptions& options) {
  const Clock::time_point start = Clock::now();
  const auto is_over = [&] {
    return std::chrono::duration<double>(Clock::now() - start).count() > options.seconds;
  };
  CaseCheck check;
  check.cpu = fresh_tallies(cases);
  if (gpu != nullptr) check.gpu = fresh_tallies(cases);
  bool gpu_works = true;
  for (const bool bench : {false, true}) {
    for (size_t i = 0; i < cases.size(); ++i) {
      for (const CaseRow& row : cases[i].rows) {
        if (row.bench != bench) continue;
        options.between();
        if (is_over()) {
          ++check.cpu[i].skipped;
        } else {
          for (const DType dtype : {DType::f32, DType::bf16}) {
            add_type(check.cpu[i], cases[i], row, cpu, options.seed, dtype);
          }
          add(check.cpu[i], check_gradients(cases[i], row, cpu, options.seed));
        }
        if (gpu == nullptr) continue;
        if (is_over() || !gpu_works) {
          ++check.gpu[i].skipped;
        } else {
          gpu_works = add_gpu(check.gpu[i], cases[i], row, *gpu, options.seed);
        }
      }
    }
  }
  return check;
}

}  // namespace gliograd
