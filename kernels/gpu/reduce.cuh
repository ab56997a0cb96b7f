// Sums over the threads of a warp or a block, in an order that its shape alone fixes.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/portable.hpp"

namespace gliograd::kernels {

/// The sum over a warp, in every lane; float or double.
template <class T>
__device__ __forceinline__ T warp_sum(T v) {
  for (int with = 16; with > 0; with /= 2) v += __shfl_xor_sync(~0u, v, with);
  return v;
}

/// The sum of value(i) for every step-th i < count; runs are summed apart, lest a long sum round
/// each value at its own size.
template <class Value>
__device__ __forceinline__ float sum_of_runs(int64_t first, int64_t count, int64_t step,
                                             const Value& value) {
  constexpr int kRun = 64;
  float sum = 0, run = 0;
  int length = 0;
  for (int64_t i = first; i < count; i += step) {
    run += value(i);
    if (++length == kRun) {
      sum += run;
      run = 0;
      length = 0;
    }
  }
  return sum + run;
}

/// The sum of value(i) for i < count, in every lane of the warp that shares it.
template <class Value>
__device__ __forceinline__ float sum_in_warp(int64_t count, const Value& value) {
  return warp_sum(sum_of_runs(static_cast<int>(threadIdx.x) % 32, count, 32, value));
}

/// The sum over a block in f64, in every thread. For one-dimensional blocks of kThreads; all of
/// them must call it.
template <int kThreads>
__device__ __forceinline__ double block_sum(double v) {
  __shared__ double warps[kThreads / 32];
  v = warp_sum(v);
  __syncthreads();  // the call before this one has been read
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
  __syncthreads();
  double sum = 0;
  GG_UNROLL
  for (int w = 0; w < kThreads / 32; ++w) sum += warps[w];
  return sum;
}

/// Sums over the rows of a block of kThreads threads, `lanes` to a row: the upper half of the rows
/// is added to the lower one until one row is left, which then has the sums. Both numbers are
/// powers of two. All threads must call it, once in a kernel.
template <int kThreads, int kWidth>
__device__ __forceinline__ void sum_rows(float (&sum)[kWidth], int lanes) {
  __shared__ float sums[kWidth * kThreads];
  const int row = static_cast<int>(threadIdx.x) / lanes;
  const auto put = [&] {
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) sums[k * kThreads + threadIdx.x] = sum[k];
  };
  put();
  for (int half = kThreads / lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (row >= half) continue;
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) sum[k] += sums[k * kThreads + threadIdx.x + half * lanes];
    put();
  }
}

}  // namespace gliograd::kernels
