// A caching arena: memory once taken from the machine is kept and handed out again, so a training
// step after the first asks the machine for nothing.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/core/error.hpp"
#include "engine/device/device.hpp"
#include "engine/device/live_blocks.hpp"
#include "kernels/base.hpp"

namespace gliograd {

/// No memory is left: what() says how much was wanted, and, from a tensor on, what for and what
/// holds the most.
class OutOfMemory : public WorkError {
 public:
  using WorkError::WorkError;
};

/// Where an arena gets memory from: malloc here, cudaMalloc on a GPU.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  /// At least `bytes`, aligned to 256. Errors: OutOfMemory when there is none left.
  virtual void* take(int64_t bytes) = 0;
  virtual void give(void* memory, int64_t bytes) = 0;
  /// Whether memory can be given back now.
  virtual bool takes_back() const { return true; }
  virtual Device device() const { return Device::cpu; }
  /// The queue in whose order the memory is used; null on the host.
  virtual kernels::Queue queue() const { return {}; }
  /// Another source of the same memory, for the same queue.
  virtual std::unique_ptr<MemorySource> another() const;
};

/// Host memory, aligned; large blocks ask for huge pages.
std::unique_ptr<MemorySource> host_memory();
/// Memory of a GPU (0 is the first), with a queue of its own that lives as long. What is given back
/// waits for that queue; while it is being captured nothing can be taken. Errors: DeviceError where
/// there is no such GPU.
std::unique_ptr<MemorySource> device_memory(int device);

struct MemoryStats {
  int64_t in_use_bytes = 0;  // handed out now
  int64_t peak_bytes = 0;    // the most ever handed out
  int64_t held_bytes = 0;    // taken from the source and not given back
  int64_t source_calls = 0;  // how often the source was asked
};

/// Thread-safe. Sizes are rounded up to one of eight steps per power of two (at most 12.5 % waste).
class CachingAllocator {
 public:
  explicit CachingAllocator(std::unique_ptr<MemorySource> source);
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  void* allocate(int64_t bytes);
  void release(void* memory, int64_t bytes);
  /// Gives all cached blocks back to the source.
  void trim();
  MemoryStats stats() const;
  Device device() const { return source_->device(); }
  /// In its order alone may the memory be used: a block that was released is handed out again at
  /// once, while the work on it may still be queued.
  kernels::Queue queue() const { return source_->queue(); }
  /// What lies in this arena and its siblings.
  LiveBlocks& live() const { return *live_; }
  /// An empty arena of the same memory, in the order of the same queue.
  std::shared_ptr<CachingAllocator> sibling() const;

 private:
  static int64_t round_up(int64_t bytes);

  std::unique_ptr<MemorySource> source_;
  mutable std::mutex mutex_;
  std::map<int64_t, std::vector<void*>> free_;  // by rounded size
  MemoryStats stats_;
  std::shared_ptr<LiveBlocks> live_ = std::make_shared<LiveBlocks>();
};

}  // namespace gliograd
