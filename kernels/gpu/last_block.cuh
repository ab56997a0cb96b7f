// Sums over all blocks in the launch that makes them: the last block to come joins what all have
// written, where a launch of its own would cost more than the join.
#pragma once
#include <cuda_runtime_api.h>

namespace gliograd::kernels {

/// Whether this block is the last of so many to come here; it may then read what all threads of
/// all of them have written before. `ticket` is one of QueueState::tickets: zero before the launch
/// and, since the count wraps around, behind it; work of one queue never overlaps, so that all of
/// it can share them. All threads must call it, once in a kernel.
__device__ __forceinline__ bool is_last_block(unsigned* ticket, unsigned blocks) {
  __shared__ bool last;
  __syncthreads();  // all of the block have written
  if (threadIdx.x == 0) {
    __threadfence();  // that is seen by all before the ticket is taken;
    last = atomicInc(ticket, blocks - 1) == blocks - 1;
    if (last) __threadfence();  // behind its own, what the others wrote before theirs
  }
  __syncthreads();
  return last;
}

}  // namespace gliograd::kernels
