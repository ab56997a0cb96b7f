// Optimizers: the arithmetic of one weight in f32, which CPU and GPU share, and the launches of a
// step on a GPU. Formulas and sources: engine/optim/optimizer.hpp.
//
// A step on a GPU is two launches, whatever the number of parameters: the sums of squares of all
// gradients, chunk by chunk, of which the last block joins them and decides all that the step
// needs; one pass over all weights. Nothing in it comes from the host but pointers that stay the
// same. Passes over memory: the gradients are read twice, all else that is kept for a weight is
// read and written once; the 16-bit copy that the next step reads is written in the same pass.
#pragma once
#include "kernels/entry.hpp"
#include "kernels/portable_math.hpp"
#include "kernels/step_state.hpp"

namespace gliograd::kernels {

enum class UpdateRule : uint8_t { sgd, momentum, nesterov, adam, adamw };

/// What stays the same for a whole run.
struct UpdateSettings {
  UpdateRule rule = UpdateRule::sgd;
  double momentum = 0, beta1 = 0, beta2 = 0, eps = 0;
  double clip_norm = 0;        // 0: no clipping
  double ema_decay = 0;        // 0: no average
  int32_t scale_interval = 0;  // updates in a row that double the loss scale; 0: it stays
};

/// The loss scale behind a step: half where its gradients overflowed, twice after `scale_interval`
/// updates in a row. Source: Micikevicius et al. 2018, arXiv:1710.03740, section 3.2.
GG_HD inline void adapt_loss_scale(const UpdateSettings& settings, bool overflow,
                                   StepState& state) {
  constexpr float kLeast = 1, kMost = 1 << 24;
  if (settings.scale_interval == 0) return;
  state.steady = overflow ? 0 : state.steady + 1;
  if (overflow) {
    state.loss_scale = state.loss_scale > 2 * kLeast ? state.loss_scale / 2 : kLeast;
  } else if (state.steady >= settings.scale_interval) {
    state.loss_scale = state.loss_scale < kMost / 2 ? state.loss_scale * 2 : kMost;
    state.steady = 0;
  }
}

/// What is of one step, and the same for all weights.
struct UpdateStep {
  double scale = 1;                         // of the gradient: 1 / loss_scale and the clip factor
  double correction1 = 1, correction2 = 1;  // 1 - beta^t
  double ema_keep = 0;                      // share of the old average; 1 leaves it alone, 0 copies
};

/// All numbers of one step for weights that share a rate and a decay, rounded once.
struct UpdateNumbers {
  float scale, rate, decay, shrink, momentum, beta1, rest1, beta2, rest2, eps, root2, keep, rest;
};

GG_HD_INLINE double square_root(double x) {
#ifdef __CUDA_ARCH__
  return __dsqrt_rn(x);
#else
  return __builtin_sqrt(x);
#endif
}

GG_HD inline UpdateNumbers rounded(const UpdateSettings& s, const UpdateStep& step, double rate,
                                   double decay) {
  const bool adam = s.rule == UpdateRule::adam || s.rule == UpdateRule::adamw;
  return {.scale = static_cast<float>(step.scale),
          .rate = static_cast<float>(adam ? rate / step.correction1 : rate),
          .decay = static_cast<float>(decay),
          .shrink = static_cast<float>(1 - rate * decay),
          .momentum = static_cast<float>(s.momentum),
          .beta1 = static_cast<float>(s.beta1),
          .rest1 = static_cast<float>(1 - s.beta1),
          .beta2 = static_cast<float>(s.beta2),
          .rest2 = static_cast<float>(1 - s.beta2),
          .eps = static_cast<float>(s.eps),
          .root2 = static_cast<float>(1 / square_root(step.correction2)),
          .keep = static_cast<float>(step.ema_keep),
          .rest = static_cast<float>(1 - step.ema_keep)};
}

GG_HD constexpr bool keeps_first(UpdateRule rule) { return rule != UpdateRule::sgd; }
GG_HD constexpr bool keeps_second(UpdateRule rule) {
  return rule == UpdateRule::adam || rule == UpdateRule::adamw;
}

/// The new value of weight w with this gradient; first and second (where the rule keeps them)
/// change in place.
template <UpdateRule kRule>
GG_HD_INLINE float updated(const UpdateNumbers& k, float w, float gradient, float& first,
                           float& second) {
  float g = gradient * k.scale;
  if constexpr (keeps_second(kRule)) {
    float from = w;
    if constexpr (kRule == UpdateRule::adamw) {
      from *= k.shrink;
    } else {
      g += k.decay * from;
    }
    first = k.beta1 * first + k.rest1 * g;
    second = k.beta2 * second + k.rest2 * g * g;
    return from - k.rate * first / (square_root(second) * k.root2 + k.eps);
  } else {
    g += k.decay * w;
    if constexpr (keeps_first(kRule)) {
      first = k.momentum * first + g;
      g = kRule == UpdateRule::nesterov ? g + k.momentum * first : first;
    }
    return w - k.rate * g;
  }
}

GG_HD_INLINE float averaged(const UpdateNumbers& k, float ema, float w) {
  return k.keep * ema + k.rest * w;
}

// ---- on a GPU ---------------------------------------------------------------------------------

/// One parameter (or averaged buffer) of a step. All 16-byte aligned.
struct UpdateSlot {
  float* w = nullptr;
  void* copy = nullptr;  // of w in copy_type, written with it; null: none
  DType copy_type = DType::bf16;
  const float* g = nullptr;                                   // null: only its average moves
  float *first = nullptr, *second = nullptr, *ema = nullptr;  // null where there is none
  int64_t count = 0;
  double lr_scale = 1, decay = 0;
  bool operator==(const UpdateSlot&) const = default;
};

/// A block's share: kChunk values (or what is left) of one slot, from index * kChunk.
struct UpdateChunk {
  int32_t slot = 0, index = 0;
};
constexpr int64_t kUpdateChunk = 4096;

/// What a step leaves for the host, should it ask.
struct UpdateOutcome {
  double norm = 0;      // of all gradients, unscaled, before clipping
  int32_t no_rate = 0;  // 1: the step lay beyond the table of rates, and changed nothing
  int32_t reserved = 0;
};

/// A step's pointers, all into device memory. Chunks of slots with a gradient come first.
struct UpdateTable {
  const UpdateSlot* slots = nullptr;
  const UpdateChunk* chunks = nullptr;
  int32_t slot_count = 0, chunk_count = 0, gradient_chunks = 0;
  double bytes_gradients = 0, bytes_all = 0;  // what the passes move, for the cost
  double* partial = nullptr;                  // [gradient_chunks]
  UpdateNumbers* numbers = nullptr;           // [slot_count]
  const double* rates = nullptr;              // [rate_count], by StepState::step
  int64_t rate_count = 0;
  UpdateOutcome* outcome = nullptr;
};

/// One step: reads loss_scale, step and updates of the state, and writes all but what is of the
/// epoch.
inline const Entry<void(Queue, const UpdateSettings&, const UpdateTable&, StepState*)>
    optimizer_step{"optimizer_step"};

/// Exchanges w and ema of all slots; copies follow w.
inline const Entry<void(Queue, const UpdateTable&)> optimizer_swap{"optimizer_swap"};

}  // namespace gliograd::kernels
