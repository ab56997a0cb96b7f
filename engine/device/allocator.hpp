// A caching arena: memory once taken from the machine is kept and handed out again, so a training
// step after the first asks the machine for nothing.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace gliograd {

/// Where an arena gets memory from: malloc here, cudaMalloc on a GPU.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  /// At least `bytes`, aligned to 256. Errors: WorkError when there is none left.
  virtual void* take(int64_t bytes) = 0;
  virtual void give(void* memory, int64_t bytes) = 0;
};

/// Host memory, aligned; large blocks ask for huge pages.
std::unique_ptr<MemorySource> host_memory();

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

 private:
  static int64_t round_up(int64_t bytes);

  std::unique_ptr<MemorySource> source_;
  mutable std::mutex mutex_;
  std::map<int64_t, std::vector<void*>> free_;  // by rounded size
  MemoryStats stats_;
};

}  // namespace gliograd
