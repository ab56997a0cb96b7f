#include "kernels/dropout.hpp"
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"

namespace gliograd::kernels {
namespace {

constexpr int kThreads = 256;

// The draws of four elements of a sample, from element 4 * block on.
__device__ __forceinline__ PhiloxBlock draws_of(const DropoutShape& shape, PhiloxKey key,
                                                const StepState* state, int64_t sample,
                                                int64_t block) {
  RandomPlace place;
  place.position = static_cast<uint64_t>(block);
  place.layer = shape.layer;
  place.draw = static_cast<uint32_t>(state->draw) + static_cast<uint32_t>(sample);
  place.epoch = static_cast<uint32_t>(state->epoch);
  place.purpose = Purpose::dropout;
  return philox(key, counter_of(place));
}

// A thread takes the elements of kBlocks blocks of draws. Two where eight divide a sample: then all
// its accesses are of 16 bytes (of 8 for the flags); else one, and element by element.
template <int kBlocks, class T>
__global__ void __launch_bounds__(kThreads)
    values_kernel(DropoutShape shape, PhiloxKey key, const StepState* state, const T* x,
                  uint8_t* kept, T* y) {
  constexpr int kCount = 4 * kBlocks;
  const int64_t threads = (shape.elements + kCount - 1) / kCount;  // of a sample
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= shape.samples * threads) return;
  const int64_t sample = at / threads, first = at % threads * kCount;
  uint8_t keep[kCount];
  GG_UNROLL
  for (int b = 0; b < kBlocks; ++b) {
    const PhiloxBlock words = draws_of(shape, key, state, sample, first / 4 + b);
    GG_UNROLL
    for (int k = 0; k < 4; ++k) keep[4 * b + k] = words.word[k] >> 9 >= shape.threshold ? 1 : 0;
  }
  const int64_t i = sample * shape.elements + first;
  if constexpr (kBlocks == 2) {
    float v[kCount];
    load_pack(v, x + i);
    GG_UNROLL
    for (int k = 0; k < kCount; ++k) v[k] = keep[k] != 0 ? v[k] * shape.scale : 0.0f;
    store_pack(y + i, v);
    store_bytes(kept + i, keep);
  } else {
    GG_UNROLL
    for (int k = 0; k < kCount; ++k) {
      if (first + k >= shape.elements) break;
      kept[i + k] = keep[k];
      store_value(y + i + k, keep[k] != 0 ? load_value(x + i + k) * shape.scale : 0.0f);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kPackThreads)
    gradients_kernel(int64_t n, float scale, const T* dy, const uint8_t* kept, T* dx) {
  constexpr int kCount = 8;
  for_each_pack<kCount>(n, [&](int64_t i, bool whole) {
    if (whole) {
      float d[kCount];
      uint8_t keep[kCount];
      load_pack(d, dy + i);
      load_bytes(keep, kept + i);
      GG_UNROLL
      for (int k = 0; k < kCount; ++k) d[k] = keep[k] != 0 ? d[k] * scale : 0.0f;
      store_pack(dx + i, d);
    } else {
      for (; i < n; ++i) store_value(dx + i, kept[i] != 0 ? load_value(dy + i) * scale : 0.0f);
    }
  });
}

template <class T>
Cost cost_of(int64_t values) {
  return {.bytes = static_cast<double>(values) * (2 * sizeof(T) + 1),
          .ops = static_cast<double>(values)};
}

void values(Queue queue, const DropoutShape& shape, PhiloxKey key, const StepState* state,
            DType dtype, const void* x, uint8_t* kept, void* y) {
  const bool wide = shape.elements % 8 == 0;
  const int64_t count = wide ? 8 : 4;
  const int64_t threads = shape.samples * ((shape.elements + count - 1) / count);
  if (threads == 0) return;
  with_float_type(dtype, [&](auto t) {
    using T = decltype(t);
    const Launch launched{.name = "dropout",
                          .grid = static_cast<unsigned>((threads + kThreads - 1) / kThreads),
                          .block = kThreads,
                          .cost = cost_of<T>(shape.samples * shape.elements)};
    launch(launched, queue, wide ? values_kernel<2, T> : values_kernel<1, T>, shape, key, state,
           static_cast<const T*>(x), kept, static_cast<T*>(y));
  });
}

void gradients(Queue queue, DType dtype, int64_t n, float scale, const void* dy,
               const uint8_t* kept, void* dx) {
  if (n == 0) return;
  with_float_type(dtype, [&](auto t) {
    using T = decltype(t);
    launch({.name = "dropout_gradient",
            .grid = blocks_of_packs(n, 8),
            .block = kPackThreads,
            .cost = cost_of<T>(n)},
           queue, gradients_kernel<T>, n, scale, static_cast<const T*>(dy), kept,
           static_cast<T*>(dx));
  });
}

const Provide<dropout_values> provide_values{values};
const Provide<dropout_gradients> provide_gradients{gradients};

}  // namespace
}  // namespace gliograd::kernels
