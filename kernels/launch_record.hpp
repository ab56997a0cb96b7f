// What ran on a queue: kernels, cuDNN's executions, copies and fills, in order, with what each
// costs at least and, by timed events, how long it took. Off by default, and then free.
#pragma once
#include <vector>

#include "kernels/entry.hpp"

namespace gliograd::kernels {

/// What the compiler made of a kernel, and how it fills a multiprocessor.
struct KernelFacts {
  int32_t registers = 0;     // a thread
  int64_t static_bytes = 0;  // of shared memory, a block
  int64_t local_bytes = 0;   // a thread: what did not fit into registers
  double occupancy = 0;      // threads that a multiprocessor holds at once, of the most it could
};

/// One piece of work on a queue.
struct RecordedLaunch {
  std::string name;                      // the kernel's; "cuDNN engine 43", "copy to device", ...
  std::string range;                     // the ranges open around it: "backward/batch_norm"
  uint32_t grid[3] = {}, block[3] = {};  // zeros where it is no kernel of this library
  int64_t shared_bytes = 0;              // dynamic
  KernelFacts kernel;                    // zeros likewise
  Cost cost;
  double begin_ms = 0;  // since the record was begun
  double ms = -1;       // negative: it was captured into a graph, and did not run
};

/// Begins a record of the queue, or ends it and forgets what is in it. Two events a launch are
/// queued from then on, so work that is recorded is a little slower between its launches.
inline const Entry<void(Queue, bool on)> record_launches{"record_launches"};
/// All since the record was begun or last taken. Waits for the queue. Errors: DeviceError where its
/// work failed, or where the queue captures.
inline const Entry<std::vector<RecordedLaunch>(Queue)> take_launches{"take_launches"};

/// Names what is launched until the range is ended; ranges may lie in each other. Also an NVTX
/// range. `name` must outlive it.
inline const Entry<void(Queue, const char* name)> begin_range{"begin_range"};
inline const Entry<void(Queue)> end_range{"end_range"};

}  // namespace gliograd::kernels
