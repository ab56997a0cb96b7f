// Small kernels, each right and with a defect planted: what the emulator must find.
#pragma once
#include "kernels/gpu/launch.cuh"

namespace gliograd::simt {

struct alignas(16) Four {
  float v[4];
};

/// y = a + b by 16-byte accesses; n a multiple of 4. `past`: that many vectors too many.
inline __global__ void add_vectors(const float* a, const float* b, float* y, int n, int past) {
  const int step = static_cast<int>(gridDim.x * blockDim.x) * 4;
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * 4; i < n + past * 4;
       i += step) {
    const Four u = *reinterpret_cast<const Four*>(a + i), v = *reinterpret_cast<const Four*>(b + i);
    Four sum;
    for (int k = 0; k < 4; ++k) sum.v[k] = u.v[k] + v.v[k];
    *reinterpret_cast<Four*>(y + i) = sum;
  }
}

enum class SumDefect { none, unwritten_part, early_return };

/// out += the sum of x. Defects: the last warp's part is never written; half of the block returns
/// before the barrier.
template <SumDefect defect>
inline __global__ void sum(const float* x, float* out, int n) {
  __shared__ float part[32];
  float value = 0;
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < n;
       i += static_cast<int>(gridDim.x * blockDim.x)) {
    value += x[i];
  }
  for (int by = 16; by > 0; by /= 2) value += __shfl_down_sync(~0u, value, by);
  const unsigned warps = blockDim.x / 32, warp = threadIdx.x / 32;
  const bool left_out = defect == SumDefect::unwritten_part && warp == warps - 1;
  if (threadIdx.x % 32 == 0 && !left_out) part[warp] = value;
  if (defect == SumDefect::early_return && threadIdx.x >= blockDim.x / 2) return;
  __syncthreads();
  if (warp != 0) return;
  value = threadIdx.x < warps ? part[threadIdx.x] : 0.0f;
  for (int by = 16; by > 0; by /= 2) value += __shfl_down_sync(~0u, value, by);
  if (threadIdx.x == 0) atomicAdd(out, value);
}

enum class LastDefect { none, no_barrier, no_fence, no_second_fence, late_write, early_fence };

/// out = the sums of 2 x by the last block to come: each writes 64 numbers, and takes a ticket.
/// Defects: the ticket is taken before all of the block have written, without a fence, or with a
/// write behind the fence; one is made behind the ticket; the sums are read without a fence behind
/// it.
template <LastDefect defect>
inline __global__ void last_block_sums(const float* x, float* partial, unsigned* ticket,
                                       float* out) {
  __shared__ unsigned turn;
  const unsigned t = threadIdx.x;
  const unsigned at = blockIdx.x * 64 + t;
  if (defect != LastDefect::late_write || t != 0) partial[at] = 2 * x[at];
  if (defect != LastDefect::no_barrier) __syncthreads();
  if (t == 0) {
    if (defect != LastDefect::no_fence) __threadfence();
    if (defect == LastDefect::early_fence) partial[at] = 2 * x[at];
    turn = atomicInc(ticket, gridDim.x - 1);
    if (defect == LastDefect::late_write) partial[at] = 2 * x[at];
    if (defect != LastDefect::no_second_fence) __threadfence();
  }
  __syncthreads();
  if (turn != gridDim.x - 1) return;
  float sum = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) sum += partial[b * 64 + t];
  out[t] = sum;
}

/// The same by the first thread of each block alone, which needs no barrier; one number a block.
inline __global__ void last_thread_sum(const float* x, float* partial, unsigned* ticket,
                                       float* out) {
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = 2 * x[blockIdx.x];
  __threadfence();
  if (atomicInc(ticket, gridDim.x - 1) != gridDim.x - 1) return;
  __threadfence();
  float sum = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) sum += partial[b];
  *out = sum;
}

/// y [columns, rows] = transpose of x [rows, columns] by tiles; block (32, 8).
template <bool barrier>
inline __global__ void transpose(const uint16_t* x, uint16_t* y, int rows, int columns) {
  __shared__ uint16_t tile[32][33];
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const int left = static_cast<int>(blockIdx.x) * 32, top = static_cast<int>(blockIdx.y) * 32;
  for (int j = ty; j < 32; j += 8) {
    if (left + tx < columns && top + j < rows) tile[j][tx] = x[(top + j) * columns + left + tx];
  }
  if (barrier) __syncthreads();
  for (int j = ty; j < 32; j += 8) {
    if (top + tx < rows && left + j < columns) y[(left + j) * rows + top + tx] = tile[tx][j];
  }
}

/// Each lane takes its neighbor's number through dynamic shared memory, ordered by __syncwarp.
template <bool ordered>
inline __global__ void rotate_in_warp(const int* x, int* y) {
  GG_DYNAMIC_SHARED(int, box);
  const int t = static_cast<int>(threadIdx.x);
  const int at = static_cast<int>(blockIdx.x * blockDim.x) + t;
  box[t] = x[at];
  if (ordered) __syncwarp();
  y[at] = box[t / 32 * 32 + (t + 1) % 32];
}

/// Reverses 64 numbers. Defect: an index beyond the array, though inside shared memory.
template <bool inside>
inline __global__ void reverse64(const int* x, int* y) {
  __shared__ int low[64];
  __shared__ int high[64];
  const int t = static_cast<int>(threadIdx.x);
  low[t] = high[t] = x[t];
  __syncthreads();
  y[t] = low[(inside ? 63 : 64) - t] + 0 * high[t];
}

/// A warp half asks lanes of the other half. Defect of the caller: those lanes are not in the mask.
inline __global__ void shuffle_outside(int* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0x0000ffffu, 7, 20);
}

/// Half of a warp comes to a vote that names all of it.
inline __global__ void vote_of_half(int* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __any_sync(~0u, 1);
}

/// Every block writes the same number.
inline __global__ void clash(int* y) {
  if (threadIdx.x == 0) y[0] = static_cast<int>(blockIdx.x);
}

/// Every block counts itself.
inline __global__ void count_blocks(int* y) {
  if (threadIdx.x == 0) atomicAdd(y, 1);
}

inline __global__ void copy(const float* x, float* y, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] = x[i];
}

/// y = a x + b.
inline __global__ void scale_and_shift(const float* x, float* y, int n, float a, float b) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] = a * x[i] + b;
}

/// What each lane gets from every shuffle, vote and atomic: out [9, 32] of one warp.
inline __global__ void warp_words(int* out, int* cells) {
  const int l = static_cast<int>(threadIdx.x);
  const int answers[] = {__shfl_sync(~0u, l, 5),        __shfl_sync(~0u, l, 1, 8),
                         __shfl_up_sync(~0u, l, 3, 16), __shfl_down_sync(~0u, l, 3, 16),
                         __shfl_xor_sync(~0u, l, 7),    static_cast<int>(__ballot_sync(~0u, l % 2)),
                         __any_sync(~0u, l == 31),      __all_sync(~0u, l < 31),
                         __all_sync(~0u, l < 32)};
  for (int k = 0; k < 9; ++k) out[k * 32 + l] = answers[k];
  atomicMax(&cells[0], l);
  atomicOr(&cells[1], 1 << (l % 8));
}

/// Barriers at two places, chosen by the warp.
inline __global__ void two_barriers(int* y) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    y[0] = 1;
    __syncthreads();
  }
}

}  // namespace gliograd::simt
