// Sums over the threads of a block, in f64 and in an order that the block's size alone fixes.
#pragma once
#include <cuda_runtime_api.h>

#include "kernels/portable.hpp"

namespace gliograd::kernels {

__device__ __forceinline__ double warp_sum(double v) {
  for (int with = 16; with > 0; with /= 2) v += __shfl_xor_sync(~0u, v, with);
  return v;
}

/// The sum, in every thread. For one-dimensional blocks of kThreads; all of them must call it.
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

}  // namespace gliograd::kernels
