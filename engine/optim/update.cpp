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

// The numbers of a step, rounded once.
struct Numbers {
  float scale, rate, decay, shrink, momentum, beta1, rest1, beta2, rest2, eps, root2, keep, rest;
  explicit Numbers(const StepNumbers& n)
      : scale(static_cast<float>(n.scale)),
        rate(static_cast<float>(n.kind == Kind::sgd ? n.rate : n.rate / n.correction1)),
        decay(static_cast<float>(n.decay)),
        shrink(static_cast<float>(1 - n.rate * n.decay)),
        momentum(static_cast<float>(n.momentum)),
        beta1(static_cast<float>(n.beta1)),
        rest1(static_cast<float>(1 - n.beta1)),
        beta2(static_cast<float>(n.beta2)),
        rest2(static_cast<float>(1 - n.beta2)),
        eps(static_cast<float>(n.eps)),
        root2(static_cast<float>(1 / std::sqrt(n.correction2))),
        keep(static_cast<float>(n.ema_keep)),
        rest(static_cast<float>(1 - n.ema_keep)) {}
};

enum class Momentum : uint8_t { none, plain, nesterov };

template <Momentum kMomentum, bool kEma>
GG_INLINE void sgd_loop(const Numbers& k, float* __restrict w, const float* __restrict gradient,
                        float* __restrict first, float* __restrict ema, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    float g = gradient[i] * k.scale + k.decay * w[i];
    if constexpr (kMomentum != Momentum::none) {
      const float b = k.momentum * first[i] + g;
      first[i] = b;
      g = kMomentum == Momentum::nesterov ? g + k.momentum * b : b;
    }
    const float to = w[i] - k.rate * g;
    w[i] = to;
    if constexpr (kEma) ema[i] = k.keep * ema[i] + k.rest * to;
  }
}

template <bool kDecoupled, bool kEma>
GG_INLINE void adam_loop(const Numbers& k, float* __restrict w, const float* __restrict gradient,
                         float* __restrict first, float* __restrict second, float* __restrict ema,
                         int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    float g = gradient[i] * k.scale, from = w[i];
    if constexpr (kDecoupled) {
      from *= k.shrink;
    } else {
      g += k.decay * from;
    }
    const float m = k.beta1 * first[i] + k.rest1 * g;
    const float v = k.beta2 * second[i] + k.rest2 * g * g;
    first[i] = m;
    second[i] = v;
    const float to = from - k.rate * m / (__builtin_sqrtf(v) * k.root2 + k.eps);
    w[i] = to;
    if constexpr (kEma) ema[i] = k.keep * ema[i] + k.rest * to;
  }
}

template <bool kEma>
GG_INLINE void step_loop(const Numbers& k, Kind kind, Momentum momentum,
                         const StepPointers<float>& p, int64_t count) {
  if (kind == Kind::adam) {
    adam_loop<false, kEma>(k, p.w, p.g, p.first, p.second, p.ema, count);
  } else if (kind == Kind::adamw) {
    adam_loop<true, kEma>(k, p.w, p.g, p.first, p.second, p.ema, count);
  } else if (momentum == Momentum::none) {
    sgd_loop<Momentum::none, kEma>(k, p.w, p.g, p.first, p.ema, count);
  } else if (momentum == Momentum::plain) {
    sgd_loop<Momentum::plain, kEma>(k, p.w, p.g, p.first, p.ema, count);
  } else {
    sgd_loop<Momentum::nesterov, kEma>(k, p.w, p.g, p.first, p.ema, count);
  }
}

GG_MULTIVERSION void step_f32(const Numbers& k, Kind kind, Momentum momentum,
                              const StepPointers<float>& p, int64_t count) {
  p.ema != nullptr ? step_loop<true>(k, kind, momentum, p, count)
                   : step_loop<false>(k, kind, momentum, p, count);
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

void update_f32(const StepNumbers& n, const StepPointers<float>& p, int64_t count) {
  const Momentum momentum = n.momentum <= 0 ? Momentum::none
                            : n.nesterov    ? Momentum::nesterov
                                            : Momentum::plain;
  step_f32(Numbers(n), n.kind, momentum, p, count);
}

void average(double keep, const float* w, float* ema, int64_t count) {
  average_f32(static_cast<float>(keep), static_cast<float>(1 - keep), w, ema, count);
}

double square_sum(const float* g, int64_t count) { return square_sum_f32(g, count); }

}  // namespace gliograd::optim
