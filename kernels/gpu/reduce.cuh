// Sums over the threads of a warp or a block, in an order that its shape alone fixes.
#pragma once
#include <cuda_runtime_api.h>

#include "kernels/portable.hpp"

namespace gliograd::kernels {

/// The sum over a warp, in every lane; float or double.
template <class T>
__device__ __forceinline__ T warp_sum(T v) {
  for (int with = 16; with > 0; with /= 2) v += __shfl_xor_sync(~0u, v, with);
  return v;
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
