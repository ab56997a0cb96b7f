// Sums over the threads of a warp or a block, in an order that its size alone fixes.
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

}  // namespace gliograd::kernels
