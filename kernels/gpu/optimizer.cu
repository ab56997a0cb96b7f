// A step over all parameters. A block serves one chunk of one parameter, which a table names; so
// many small parameters fill the machine as well as one large one.
#include <cfloat>
#include <cmath>

#include "kernels/gpu/last_block.cuh"
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"
#include "kernels/gpu/reduce.cuh"
#include "kernels/optimizer.hpp"

namespace gliograd::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kCount = 4;  // values of one access
static_assert(kUpdateChunk % (kThreads * kCount) == 0);

// Calls body(begin, whole) for the packs of a chunk that this thread serves.
template <class Body>
__device__ __forceinline__ void for_chunk(const UpdateChunk& chunk, int64_t count,
                                          const Body& body) {
  const int64_t begin = chunk.index * kUpdateChunk;
  const int64_t end = begin + kUpdateChunk < count ? begin + kUpdateChunk : count;
  for (int64_t i = begin + static_cast<int>(threadIdx.x) * kCount; i < end;
       i += kThreads * kCount) {
    body(i, i + kCount <= end, end);
  }
}

// ---- the norm, and what follows from it --------------------------------------------------------

// In f64: squares of scaled gradients would leave f32.
__device__ __forceinline__ double squares_of(const UpdateSlot& slot, const UpdateChunk& chunk) {
  const float* g = slot.g;
  double sum = 0;
  for_chunk(chunk, slot.count, [&](int64_t i, bool whole, int64_t end) {
    if (whole) {
      float v[kCount];
      load_pack(v, g + i);
      GG_UNROLL
      for (const double one : v) sum += one * one;
    } else {
      for (; i < end; ++i) sum += static_cast<double>(g[i]) * g[i];
    }
  });
  return sum;
}

// A chunk a block; the last block adds them up. There its thread 0 decides, then all write the
// numbers of the slots.
__global__ void __launch_bounds__(kThreads)
    decide_kernel(UpdateSettings settings, UpdateTable table, StepState* state, unsigned* ticket) {
  __shared__ UpdateStep step;
  __shared__ double rate;
  double sum = 0;
  if (table.gradient_chunks > 0) {
    const UpdateChunk chunk = table.chunks[blockIdx.x];
    sum = block_sum<kThreads>(squares_of(table.slots[chunk.slot], chunk));
    if (threadIdx.x == 0) table.partial[blockIdx.x] = sum;
    sum = 0;
  }
  if (!is_last_block(ticket, gridDim.x)) return;
  for (int c = static_cast<int>(threadIdx.x); c < table.gradient_chunks; c += kThreads) {
    sum += table.partial[c];
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) {
    const double loss_scale = static_cast<double>(state->loss_scale);
    const double norm = sqrt(sum) / loss_scale;
    const int64_t row = state->step;
    const bool known = row >= 0 && row < table.rate_count;
    const bool finite = norm <= DBL_MAX;  // false for NaN
    const bool skip = !known || !finite;
    const int64_t updates = state->updates + (skip ? 0 : 1);
    rate = known ? table.rates[row] : 0;
    step.scale = 1.0 / loss_scale;
    if (settings.clip_norm > 0) step.scale *= fmin(1.0, settings.clip_norm / (norm + 1e-6));
    step.correction1 = 1 - pow(settings.beta1, static_cast<double>(updates));
    step.correction2 = 1 - pow(settings.beta2, static_cast<double>(updates));
    step.ema_keep = updates == 1 ? 0 : settings.ema_decay;
    state->step = row + 1;
    state->updates = updates;
    state->skip = skip ? 1 : 0;
    if (known) adapt_loss_scale(settings, !finite, *state);
    table.outcome->norm = norm;
    table.outcome->no_rate = known ? 0 : 1;
  }
  __syncthreads();
  for (int s = static_cast<int>(threadIdx.x); s < table.slot_count; s += kThreads) {
    table.numbers[s] =
        rounded(settings, step, rate * table.slots[s].lr_scale, table.slots[s].decay);
  }
}

// ---- the update -------------------------------------------------------------------------------

// The 16-bit copy, from the values that are in registers anyway.
__device__ __forceinline__ void copy_pack(const UpdateSlot& slot, int64_t i,
                                          const float (&w)[kCount]) {
  if (slot.copy == nullptr) return;
  if (slot.copy_type == DType::bf16) {
    store_pack(static_cast<bf16*>(slot.copy) + i, w);
  } else {
    store_pack(static_cast<f16*>(slot.copy) + i, w);
  }
}
__device__ __forceinline__ void copy_value(const UpdateSlot& slot, int64_t i, float w) {
  if (slot.copy == nullptr) return;
  if (slot.copy_type == DType::bf16) {
    store_value(static_cast<bf16*>(slot.copy) + i, w);
  } else {
    store_value(static_cast<f16*>(slot.copy) + i, w);
  }
}

// One value, from what is kept for it to what is kept next.
template <UpdateRule kRule, bool kEma>
__device__ __forceinline__ void update_values(const UpdateNumbers& k, const UpdateSlot& slot,
                                              int64_t i, int64_t end) {
  for (; i < end; ++i) {
    float first = keeps_first(kRule) ? slot.first[i] : 0.0f;
    float second = keeps_second(kRule) ? slot.second[i] : 0.0f;
    const float w = updated<kRule>(k, slot.w[i], slot.g[i], first, second);
    slot.w[i] = w;
    copy_value(slot, i, w);
    if (keeps_first(kRule)) slot.first[i] = first;
    if (keeps_second(kRule)) slot.second[i] = second;
    if (kEma) slot.ema[i] = averaged(k, slot.ema[i], w);
  }
}

template <UpdateRule kRule, bool kEma>
__device__ __forceinline__ void update_pack(const UpdateNumbers& k, const UpdateSlot& slot,
                                            int64_t i) {
  float w[kCount], g[kCount], first[kCount] = {}, second[kCount] = {}, ema[kCount] = {};
  load_pack(w, slot.w + i);
  load_pack(g, slot.g + i);
  if constexpr (keeps_first(kRule)) load_pack(first, slot.first + i);
  if constexpr (keeps_second(kRule)) load_pack(second, slot.second + i);
  if constexpr (kEma) load_pack(ema, slot.ema + i);
  GG_UNROLL
  for (int j = 0; j < kCount; ++j) {
    w[j] = updated<kRule>(k, w[j], g[j], first[j], second[j]);
    if constexpr (kEma) ema[j] = averaged(k, ema[j], w[j]);
  }
  store_pack(slot.w + i, w);
  copy_pack(slot, i, w);
  if constexpr (keeps_first(kRule)) store_pack(slot.first + i, first);
  if constexpr (keeps_second(kRule)) store_pack(slot.second + i, second);
  if constexpr (kEma) store_pack(slot.ema + i, ema);
}

__device__ __forceinline__ void average_values(const UpdateNumbers& k, const UpdateSlot& slot,
                                               int64_t i, int64_t end) {
  for (; i < end; ++i) slot.ema[i] = averaged(k, slot.ema[i], slot.w[i]);
}

__device__ __forceinline__ void average_pack(const UpdateNumbers& k, const UpdateSlot& slot,
                                             int64_t i) {
  float w[kCount], ema[kCount];
  load_pack(w, slot.w + i);
  load_pack(ema, slot.ema + i);
  GG_UNROLL
  for (int j = 0; j < kCount; ++j) ema[j] = averaged(k, ema[j], w[j]);
  store_pack(slot.ema + i, ema);
}

template <UpdateRule kRule, bool kEma>
__global__ void __launch_bounds__(kThreads, 4)
    update_kernel(UpdateTable table, const StepState* state) {
  if (state->skip != 0) return;  // the whole grid
  const UpdateChunk chunk = table.chunks[blockIdx.x];
  const UpdateSlot slot = table.slots[chunk.slot];
  const UpdateNumbers k = table.numbers[chunk.slot];
  if (slot.g != nullptr) {
    for_chunk(chunk, slot.count, [&](int64_t i, bool whole, int64_t end) {
      if (whole) {
        update_pack<kRule, kEma>(k, slot, i);
      } else {
        update_values<kRule, kEma>(k, slot, i, end);
      }
    });
  } else if constexpr (kEma) {
    for_chunk(chunk, slot.count, [&](int64_t i, bool whole, int64_t end) {
      if (whole) {
        average_pack(k, slot, i);
      } else {
        average_values(k, slot, i, end);
      }
    });
  }
}

__global__ void __launch_bounds__(kThreads) swap_kernel(UpdateTable table) {
  const UpdateChunk chunk = table.chunks[blockIdx.x];
  const UpdateSlot slot = table.slots[chunk.slot];
  for_chunk(chunk, slot.count, [&](int64_t i, bool whole, int64_t end) {
    if (whole) {
      float w[kCount], ema[kCount];
      load_pack(w, slot.w + i);
      load_pack(ema, slot.ema + i);
      store_pack(slot.w + i, ema);
      copy_pack(slot, i, ema);
      store_pack(slot.ema + i, w);
    } else {
      for (; i < end; ++i) {
        const float w = slot.w[i];
        slot.w[i] = slot.ema[i];
        copy_value(slot, i, slot.ema[i]);
        slot.ema[i] = w;
      }
    }
  });
}

// ---- launches ---------------------------------------------------------------------------------

Launch over_chunks(const char* name, int32_t chunks, double bytes) {
  return {.name = name,
          .grid = static_cast<unsigned>(chunks),
          .block = kThreads,
          .cost = {.bytes = bytes, .ops = bytes / 2}};
}

template <UpdateRule kRule>
void update(Queue queue, const UpdateTable& table, bool ema, const StepState* state) {
  launch(over_chunks("optimizer_update", table.chunk_count, table.bytes_all), queue,
         ema ? update_kernel<kRule, true> : update_kernel<kRule, false>, table, state);
}

void step(Queue queue, const UpdateSettings& settings, const UpdateTable& table, StepState* state) {
  Launch decides =
      over_chunks("optimizer_decide", table.gradient_chunks > 0 ? table.gradient_chunks : 1,
                  table.bytes_gradients);
  decides.cost.bytes +=
      16.0 * table.gradient_chunks + static_cast<double>(sizeof(UpdateNumbers)) * table.slot_count;
  launch(decides, queue, decide_kernel, settings, table, state, tickets_of(queue, 1));
  if (table.chunk_count == 0) return;
  const bool ema = settings.ema_decay > 0;
  switch (settings.rule) {
    case UpdateRule::sgd: update<UpdateRule::sgd>(queue, table, ema, state); break;
    case UpdateRule::momentum: update<UpdateRule::momentum>(queue, table, ema, state); break;
    case UpdateRule::nesterov: update<UpdateRule::nesterov>(queue, table, ema, state); break;
    case UpdateRule::adam: update<UpdateRule::adam>(queue, table, ema, state); break;
    case UpdateRule::adamw: update<UpdateRule::adamw>(queue, table, ema, state); break;
  }
}

void swap(Queue queue, const UpdateTable& table) {
  if (table.chunk_count == 0) return;
  launch(over_chunks("optimizer_swap", table.chunk_count, table.bytes_all), queue, swap_kernel,
         table);
}

const Provide<optimizer_step> provide_step{step};
const Provide<optimizer_swap> provide_swap{swap};

}  // namespace
}  // namespace gliograd::kernels
