#include "engine/optim/learning_rates.hpp"

#include <cmath>
#include <utility>

#include "engine/core/error.hpp"

namespace gliograd {
namespace {

void check_length(int64_t steps, int64_t warmup) {
  GG_CHECK(steps >= 1, "learning rates: a run needs at least one step; got ", steps);
  GG_CHECK(warmup >= 0 && warmup <= steps, "learning rates: the warm-up must be 0 to ", steps,
           " steps; got ", warmup);
}

double warm(double rate, int64_t step, int64_t warmup) {
  return rate * static_cast<double>(step + 1) / static_cast<double>(warmup);
}

}  // namespace

LearningRates::LearningRates(std::vector<double> by_step) : by_step_(std::move(by_step)) {
  GG_CHECK(!by_step_.empty(), "learning rates: a run needs at least one step; got 0");
  for (size_t s = 0; s < by_step_.size(); ++s) {
    GG_CHECK(std::isfinite(by_step_[s]) && by_step_[s] >= 0,
             "learning rates: must be finite and not negative; step ", s, " has ", by_step_[s]);
  }
}

LearningRates LearningRates::constant(double rate, int64_t steps) {
  check_length(steps, 0);
  return LearningRates(std::vector<double>(steps, rate));
}

LearningRates LearningRates::cosine(double rate, int64_t steps, int64_t warmup, double last) {
  check_length(steps, warmup);
  std::vector<double> rates(steps);
  for (int64_t s = 0; s < steps; ++s) {
    if (s < warmup) {
      rates[s] = warm(rate, s, warmup);
    } else {
      const double done = static_cast<double>(s - warmup) / static_cast<double>(steps - warmup);
      rates[s] = last + (rate - last) * (1 + std::cos(M_PI * done)) / 2;
    }
  }
  return LearningRates(std::move(rates));
}

LearningRates LearningRates::steps(double rate, int64_t steps,
                                   const std::vector<int64_t>& milestones, double factor,
                                   int64_t warmup) {
  check_length(steps, warmup);
  std::vector<double> rates(steps);
  for (int64_t s = 0; s < steps; ++s) {
    rates[s] = s < warmup ? warm(rate, s, warmup) : rate;
    for (const int64_t milestone : milestones) {
      if (s >= milestone) rates[s] *= factor;
    }
  }
  return LearningRates(std::move(rates));
}

}  // namespace gliograd
