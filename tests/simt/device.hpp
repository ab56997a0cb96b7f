// The device's side of the emulator: what a .cu file finds instead of nvcc's built-in words when it
// is compiled as host C++ (forced in by -include). Every thread of a block is a fiber; the fibers
// of a block run one after the other on one OS thread and meet at barriers and at warp operations.
// A file compiled with -fsanitize=thread,alignment,bounds and linked without those runtimes reports
// each memory access to the checker (hooks.cpp, checker.hpp), which looks for what a GPU hides.
//
// A kernel that runs in both worlds is launched by kernels/gpu/launch.cuh, says
// GG_DYNAMIC_SHARED(type, name) for its dynamic shared memory, and has a plain twin of any inline
// assembly.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __forceinline__
#undef __launch_bounds__
#undef __restrict__
#define __global__
#define __device__
#define __host__
// One block at a time runs on the kernels' OS thread, so that thread's copy is the block's own; the
// linker puts all of them into one segment, which the checker watches. (A section of its own would
// do too, but g++ ignores section attributes inside templates.)
#define __shared__ constinit static thread_local
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__
// NOLINTBEGIN(bugprone-macro-parentheses): it declares the name
#define GG_DYNAMIC_SHARED(type, name) \
  const auto name = static_cast<std::add_pointer_t<type>>(::gliograd::simt::dynamic_shared())
// NOLINTEND(bugprone-macro-parentheses)

// Set whenever the scheduler changes fibers. Between any two of their values stands a call that the
// compiler cannot see through.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace gliograd::simt {

/// Where in the source an operation stands: filled in by default arguments.
struct Place {
  const char* file;
  int line;
};
#define GG_SIMT_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()

enum class WarpOp : uint8_t { sync, shuffle, ballot, any, all };

void* dynamic_shared();
int lane();
void block_barrier(Place place);
/// Waits until all lanes of the mask have come to this operation. Returns the source lane's value,
/// or the vote.
uint64_t warp_operation(WarpOp op, uint32_t mask, uint64_t value, int source_lane, Place place);
void atomic_access(const void* address, size_t bytes);
void device_fence();

template <class T>
uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class T>
T from_bits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
template <class T>
T shuffle(uint32_t mask, T value, int source_lane, Place place) {
  return from_bits<T>(warp_operation(WarpOp::shuffle, mask, to_bits(value), source_lane, place));
}

/// On one OS thread a plain read and write is atomic. Compiled without instrumentation, and
/// reported as an atomic access.
template <class T, class Change>
__attribute__((no_sanitize("thread"), noinline)) T atomic_change(T* address, Change change) {
  atomic_access(address, sizeof(T));
  const T old = *address;
  *address = change(old);
  return old;
}

}  // namespace gliograd::simt

inline void __syncthreads(GG_SIMT_PLACE) { gliograd::simt::block_barrier({file, line}); }
inline void __syncwarp(uint32_t mask = ~0u, GG_SIMT_PLACE) {
  gliograd::simt::warp_operation(gliograd::simt::WarpOp::sync, mask, 0, 0, {file, line});
}
inline uint32_t __ballot_sync(uint32_t mask, int vote, GG_SIMT_PLACE) {
  using namespace gliograd::simt;
  return static_cast<uint32_t>(warp_operation(WarpOp::ballot, mask, vote != 0, 0, {file, line}));
}
inline int __any_sync(uint32_t mask, int vote, GG_SIMT_PLACE) {
  using namespace gliograd::simt;
  return static_cast<int>(warp_operation(WarpOp::any, mask, vote != 0, 0, {file, line}));
}
inline int __all_sync(uint32_t mask, int vote, GG_SIMT_PLACE) {
  using namespace gliograd::simt;
  return static_cast<int>(warp_operation(WarpOp::all, mask, vote != 0, 0, {file, line}));
}
/// Shuffles as the hardware has them: groups of `width` lanes (a power of two); a lane whose source
/// lies outside its group keeps its own value.
template <class T>
T __shfl_sync(uint32_t mask, T value, int from, int width = 32, GG_SIMT_PLACE) {
  const int first = gliograd::simt::lane() & ~(width - 1);
  return gliograd::simt::shuffle(mask, value, first + (from & (width - 1)), {file, line});
}
template <class T>
T __shfl_down_sync(uint32_t mask, T value, uint32_t by, int width = 32, GG_SIMT_PLACE) {
  const int self = gliograd::simt::lane(), to = (self & (width - 1)) + static_cast<int>(by);
  const int source = to < width ? self + static_cast<int>(by) : self;
  return gliograd::simt::shuffle(mask, value, source, {file, line});
}
template <class T>
T __shfl_up_sync(uint32_t mask, T value, uint32_t by, int width = 32, GG_SIMT_PLACE) {
  const int self = gliograd::simt::lane(), to = (self & (width - 1)) - static_cast<int>(by);
  const int source = to >= 0 ? self - static_cast<int>(by) : self;
  return gliograd::simt::shuffle(mask, value, source, {file, line});
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T value, int with, int width = 32, GG_SIMT_PLACE) {
  const int self = gliograd::simt::lane();
  const int source = ((self & (width - 1)) ^ with) < width ? self ^ with : self;
  return gliograd::simt::shuffle(mask, value, source, {file, line});
}
template <class T>
T atomicAdd(T* address, T value) {
  return gliograd::simt::atomic_change(address, [=](T old) { return old + value; });
}
template <class T>
T atomicMax(T* address, T value) {
  return gliograd::simt::atomic_change(address, [=](T old) { return value > old ? value : old; });
}
template <class T>
T atomicOr(T* address, T value) {
  return gliograd::simt::atomic_change(address, [=](T old) { return old | value; });
}
template <class T>
T __ldg(const T* address) {
  return *address;
}
/// As many times as `last` + 1, and then from 0 again.
inline unsigned atomicInc(unsigned* address, unsigned last) {
  return gliograd::simt::atomic_change(address,
                                       [=](unsigned old) { return old >= last ? 0 : old + 1; });
}
inline void __threadfence() { gliograd::simt::device_fence(); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
