// Learning rates of a whole run, one a step, made before its first step: so that a step reads its
// rate by its number, also inside a captured graph and after a resumption.
#pragma once
#include <cstdint>
#include <vector>

namespace gliograd {

class LearningRates {
 public:
  /// One rate a step, from step 0. Errors: Error when empty, or when a rate is negative or not
  /// finite.
  explicit LearningRates(std::vector<double> by_step);

  static LearningRates constant(double rate, int64_t steps);
  /// Linear from rate / warmup at step 0 to `rate` at step warmup - 1, then half a cosine:
  /// last + (rate - last) * (1 + cos(pi * (s - warmup) / (steps - warmup))) / 2 at step s.
  /// Source: Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts.
  static LearningRates cosine(double rate, int64_t steps, int64_t warmup = 0, double last = 0);
  /// `rate` times `factor` for each milestone that step s has reached (s >= milestone), after the
  /// same warm-up.
  static LearningRates steps(double rate, int64_t steps, const std::vector<int64_t>& milestones,
                             double factor = 0.1, int64_t warmup = 0);

  int64_t size() const { return static_cast<int64_t>(by_step_.size()); }
  double operator[](int64_t step) const { return by_step_[step]; }

 private:
  std::vector<double> by_step_;
};

}  // namespace gliograd
