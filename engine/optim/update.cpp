// The inner loops of a step: f64 as the formulas stand, then f32 in one vectorized pass. Built with
// -fno-math-errno, without which g++ does not vectorize square roots.
#include "engine/optim/update.hpp"

#include <cmath>

#include "engine/core/simd.hpp"
#include "engine/ops/lanes.hpp"

namespace gliograd::optim {

using Kind = OptimizerOptions::Kind;

// ---- f64 --------------------------------------------------------------------------------------

void update_reference(const StepNumbers& n, const StepPointers<double>& p, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    double g = p.g[i] * n.scale, &w = p.w[i];
    if (n.kind == Kind::adamw) {
      w -= n.rate * n.decay * w;
    } else {
      g += n.decay * w;
    }
    if (n.kind == Kind::sgd) {
      if (n.momentum > 0) {
        p.first[i] = n.momentum * p.first[i] + g;
        g = n.nesterov ? g + n.momentum * p.first[i] : p.first[i];
      }
      w -= n.rate * g;
    } else {
      p.first[i] = n.beta1 * p.first[i] + (1 - n.beta1) * g;
      p.second[i] = n.beta2 * p.second[i] + (1 - n.beta2) * g * g;
      const double m = p.first[i] / n.correction1, v = p.second[i] / n.correction2;
      w -= n.rate * m / (std::sqrt(v) + n.eps);
    }
  }
  if (p.ema != nullptr) average(n.ema_keep, p.w, p.ema, count);
}

void average(double keep, const double* w, double* ema, int64_t count) {
  for (int64_t i = 0; i < count; ++i) ema[i] = keep * ema[i] + (1 - keep) * w[i];
}

double square_sum(const double* g, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += g[i] * g[i];
  return sum;
}

// ---- f32 --------------------------------------------------------------------------------------

namespace {

using kernels::UpdateNumbers;
using kernels::UpdateRule;

template <UpdateRule kRule, bool kEma>
GG_INLINE void update_loop(const UpdateNumbers& k, float* __restrict w,
                           const float* __restrict gradient, float* __restrict kept_first,
                           float* __restrict kept_second, float* __restrict ema, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    float first = 0, second = 0;
    if constexpr (kernels::keeps_first(kRule)) first = kept_first[i];
    if constexpr (kernels::keeps_second(kRule)) second = kept_second[i];
    const float to = kernels::updated<kRule>(k, w[i], gradient[i], first, second);
    if constexpr (kernels::keeps_first(kRule)) kept_first[i] = first;
    if constexpr (kernels::keeps_second(kRule)) kept_second[i] = second;
    w[i] = to;
    if constexpr (kEma) ema[i] = kernels::averaged(k, ema[i], to);
  }
}

template <UpdateRule kRule>
GG_INLINE void rule_loop(const UpdateNumbers& k, const StepPointers<float>& p, int64_t count) {
  p.ema != nullptr ? update_loop<kRule, true>(k, p.w, p.g, p.first, p.second, p.ema, count)
                   : update_loop<kRule, false>(k, p.w, p.g, p.first, p.second, p.ema, count);
}

GG_MULTIVERSION void step_f32(const UpdateNumbers& k, UpdateRule rule, const StepPointers<float>& p,
                              int64_t count) {
  switch (rule) {
    case UpdateRule::sgd: rule_loop<UpdateRule::sgd>(k, p, count); break;
    case UpdateRule::momentum: rule_loop<UpdateRule::momentum>(k, p, count); break;
    case UpdateRule::nesterov: rule_loop<UpdateRule::nesterov>(k, p, count); break;
    case UpdateRule::adam: rule_loop<UpdateRule::adam>(k, p, count); break;
    case UpdateRule::adamw: rule_loop<UpdateRule::adamw>(k, p, count); break;
  }
}

GG_MULTIVERSION void average_f32(float keep, float rest, const float* __restrict w,
                                 float* __restrict ema, int64_t count) {
  for (int64_t i = 0; i < count; ++i) ema[i] = keep * ema[i] + rest * w[i];
}

GG_MULTIVERSION double square_sum_f32(const float* g, int64_t count) {
  double lanes[lanes::kLanes] = {};
  int64_t i = 0;
  for (; i + lanes::kLanes <= count; i += lanes::kLanes) {
    for (int64_t j = 0; j < lanes::kLanes; ++j) {
      const double v = g[i + j];
      lanes[j] += v * v;
    }
  }
  for (; i < count; ++i) lanes[0] += static_cast<double>(g[i]) * g[i];
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

kernels::UpdateRule rule_of(Kind kind, double momentum, bool nesterov) {
  if (kind == Kind::adam) return UpdateRule::adam;
  if (kind == Kind::adamw) return UpdateRule::adamw;
  if (momentum <= 0) return UpdateRule::sgd;
  return nesterov ? UpdateRule::nesterov : UpdateRule::momentum;
}

void update_f32(const StepNumbers& n, const StepPointers<float>& p, int64_t count) {
  const kernels::UpdateSettings settings{.rule = rule_of(n.kind, n.momentum, n.nesterov),
                                         .momentum = n.momentum,
                                         .beta1 = n.beta1,
                                         .beta2 = n.beta2,
                                         .eps = n.eps};
  const kernels::UpdateStep step{n.scale, n.correction1, n.correction2, n.ema_keep};
  step_f32(kernels::rounded(settings, step, n.rate, n.decay), settings.rule, p, count);
}

void average(double keep, const float* w, float* ema, int64_t count) {
  average_f32(static_cast<float>(keep), static_cast<float>(1 - keep), w, ema, count);
}

double square_sum(const float* g, int64_t count) { return square_sum_f32(g, count); }

}  // namespace gliograd::optim
