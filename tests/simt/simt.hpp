// The host's side of the emulator: launches, findings, device memory. Kernels run on one OS thread
// of their own (the device thread), because their shared memory is that thread's thread-local
// memory; whoever launches waits for it.
//
// What is found, by kind:
//   race           two threads, one of them writing, and no barrier between them; of two blocks,
//                  no fences and atomics (fences.cpp)
//   bounds         an access outside device memory, or outside an array
//   alignment      a vector access at an address that its type does not allow
//   uninitialized  a read of memory that nothing has written
//   divergence     a barrier or warp operation that not all of its threads reach
//   lane           a shuffle from a lane that takes no part
//   host           the host reads or writes device memory
// A finding that the kernel cannot outlive (bounds, alignment, divergence of a warp) ends the
// launch; each pair of source lines is described once, and counted always.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gliograd::simt {

struct Finding {
  std::string kind;
  std::string text;  // who, where in the source, what, against whom
};

struct Report {
  std::vector<Finding> findings;  // each pair of source lines once
  int64_t total = 0;              // counted always

  /// One line a finding; "nothing" where there is none.
  std::string text() const;
};

/// Takes what was found since the last call.
Report take_report();

struct Options {
  uint64_t seed = 1;  // order of blocks and of the threads in a block
  // Barriers reached after some threads of the block have returned: defined on current hardware,
  // but hardly ever meant.
  bool strict_exits = true;
};
void set_options(const Options& options);

/// Device memory: page-aligned, filled with 0xff (NaN in every float type), never zero bytes. An
/// address is not given out twice, so that a stale pointer stays one. Only kernels and the copies
/// below can touch it; a host access is a finding. release returns its bytes.
void* allocate(size_t bytes);
size_t release(void* memory);
/// Host copies in and out; copying in counts as writing.
void copy_in(void* device, const void* host, size_t bytes);
void copy_out(void* host, const void* device, size_t bytes);

struct Shape {
  dim3 grid, block;
  size_t shared_bytes = 0;
};
/// A kernel with its arguments: call(frame) runs one thread. The frame is bytes that may be copied
/// and that the kernel may read, as it may its parameters on a GPU.
struct Kernel {
  void (*call)(const void* frame) = nullptr;
  const void* frame = nullptr;
  size_t frame_bytes = 0;
};
/// Errors: Error where the hardware would refuse the launch: no or too many threads, too much
/// shared memory.
void check_shape(const Shape& shape);
/// Runs the kernel once for each thread of the grid, and returns when all are done. What a thread
/// throws is a finding of kind "exception".
void run(const Shape& shape, const Kernel& kernel);
/// Runs `work` on the device thread, outside of any kernel.
void on_device_thread(const std::function<void()>& work);

}  // namespace gliograd::simt
