// The emulated GPU behind the CUDA runtime's own functions (cuda_runtime.cpp): streams whose work
// runs late, events, memory that the host cannot touch, captured graphs. What a program forgets to
// wait for is still undone, or done in another order, when it looks.
#pragma once
#include <cstdint>
#include <functional>

namespace gliograd::simt {

enum class Order : uint8_t {
  queued,  // in the order in which the work was queued
  any      // any that streams and events allow, by the seed
};

struct DeviceOptions {
  Order order = Order::any;
  uint64_t seed = 1;
  int64_t memory_bytes = int64_t{1} << 30;  // beyond it cudaMalloc refuses
};
/// For what is queued from now on. Waits for what was queued before.
void set_device(const DeviceOptions& options);

/// Bytes that cudaMalloc has given out and not got back.
int64_t device_memory_bytes();

/// Work not run yet, on all streams.
int64_t waiting_work();

/// Queues work on a stream (a handle from cudaStreamCreate; null runs it at once), or records it
/// where the stream captures.
void queue_work(void* stream, std::function<void()> work);

/// For queued work: later events of its stream, and of those that wait for one, say that so much
/// more time has passed. It is slow without keeping anybody waiting.
void advance_clock(double ms);

}  // namespace gliograd::simt
