// What a Queue's handle points at: a stream, and the record of what ran on it.
#pragma once
#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include "kernels/launch_record.hpp"

namespace gliograd::kernels {

/// A launch as its caller describes it. Other work than a kernel of this library has a name and a
/// cost alone, and kNoGrid.
struct Launch {
  const char* name;
  dim3 grid, block;
  size_t shared_bytes = 0;
  Cost cost = {};  // least bytes and operations of this launch
};
inline const dim3 kNoGrid{0, 0, 0};

class LaunchRecord;

struct QueueState {
  QueueState(cudaStream_t made, unsigned* zeros, bool traced);
  ~QueueState();
  QueueState(const QueueState&) = delete;
  QueueState& operator=(const QueueState&) = delete;

  cudaStream_t stream;
  unsigned* tickets;                     // kTickets zeros in device memory (last_block.cuh)
  bool trace;                            // GLIOGRAD_TRACE: waits for each launch and prints it
  bool keep = false;                     // a record was asked for
  std::unique_ptr<LaunchRecord> record;  // null where neither
  std::vector<const char*> ranges;       // open now, outermost first
};

constexpr int64_t kTickets = 4096;

inline QueueState* state_of(Queue queue) { return static_cast<QueueState*>(queue.handle); }
/// The default stream where the queue is null.
inline cudaStream_t stream_of(Queue queue) {
  return queue.handle == nullptr ? nullptr : state_of(queue)->stream;
}

/// The first of so many tickets. Errors: DeviceError where the queue has not as many, or is null.
unsigned* tickets_of(Queue queue, int64_t wanted);

/// Stands around all that is put on a queue: an NVTX range, and a line in the record where one is
/// kept.
class LaunchScope {
 public:
  /// `kernel`: the function, where it is one of this library.
  LaunchScope(Queue queue, const Launch& launch, const void* kernel = nullptr);
  /// It is queued. Without this call it has failed, and leaves no line.
  void done();
  ~LaunchScope();
  LaunchScope(const LaunchScope&) = delete;
  LaunchScope& operator=(const LaunchScope&) = delete;

 private:
  QueueState* state_;  // null where nothing is recorded
  bool done_ = false;
};

}  // namespace gliograd::kernels
