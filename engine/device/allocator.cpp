#include "engine/device/allocator.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <utility>

#include "engine/core/error.hpp"
#include "kernels/runtime.hpp"

namespace gliograd {
namespace {

constexpr int64_t kAlignment = 256;
constexpr int64_t kHugePage = 2 << 20;

class HostMemory final : public MemorySource {
 public:
  void* take(int64_t bytes) override {
    const int64_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
    const int64_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void* memory = std::aligned_alloc(alignment, rounded);
    if (memory == nullptr) {
      throw OutOfMemory(concat_text("out of memory: the machine refused ", bytes_text(bytes)));
    }
    // Advice only; without it a fresh step spends its time in page faults.
    if (alignment == kHugePage) madvise(memory, rounded, MADV_HUGEPAGE);
    return memory;
  }
  void give(void* memory, int64_t) override { std::free(memory); }
};

// A queue that ends with its last user.
class OwnQueue {
 public:
  explicit OwnQueue(int device) : queue_(kernels::make_queue(device)) {}
  ~OwnQueue() {
    try {
      kernels::free_queue(queue_);
    } catch (const WorkError&) {  // a GPU that has failed: who used it has been told
    }
  }
  OwnQueue(const OwnQueue&) = delete;
  OwnQueue& operator=(const OwnQueue&) = delete;
  kernels::Queue get() const { return queue_; }

 private:
  kernels::Queue queue_;
};

class DeviceMemory final : public MemorySource {
 public:
  DeviceMemory(int device, std::shared_ptr<OwnQueue> queue)
      : device_(device), queue_(std::move(queue)) {}

  void* take(int64_t bytes) override {
    if (kernels::is_capturing(queue())) {
      throw WorkError(
          concat_text("a captured step asked for ", bytes,
                      " bytes more than the steps before it: nothing can be taken now"));
    }
    void* memory = kernels::take_memory(device_, bytes);
    if (memory == nullptr) {
      throw OutOfMemory(
          concat_text("out of memory: GPU ", device_, " has no ", bytes_text(bytes), " left"));
    }
    return memory;
  }
  void give(void* memory, int64_t) override {
    kernels::wait_queue(queue());
    kernels::give_memory(device_, memory);
  }
  bool takes_back() const override { return !kernels::is_capturing(queue()); }
  Device device() const override { return Device::cuda; }
  kernels::Queue queue() const override { return queue_->get(); }
  std::unique_ptr<MemorySource> another() const override {
    return std::make_unique<DeviceMemory>(device_, queue_);
  }

 private:
  int device_;
  std::shared_ptr<OwnQueue> queue_;
};

using FreeBlocks = std::map<int64_t, std::vector<void*>>;

// Every cached block back to the source; returns their bytes.
int64_t give_back(MemorySource& source, FreeBlocks& free, MemoryStats& stats) {
  int64_t bytes = 0;
  for (auto& [size, blocks] : free) {
    for (void* memory : blocks) source.give(memory, size);
    bytes += size * static_cast<int64_t>(blocks.size());
    blocks.clear();
  }
  stats.held_bytes -= bytes;
  return bytes;
}

// Where the source has none left, what is cached in other sizes goes back to it first.
void* take(MemorySource& source, FreeBlocks& free, MemoryStats& stats, int64_t size) {
  ++stats.source_calls;
  try {
    return source.take(size);
  } catch (const OutOfMemory&) {
    if (!source.takes_back() || give_back(source, free, stats) == 0) throw;
  }
  ++stats.source_calls;
  return source.take(size);
}

}  // namespace

std::unique_ptr<MemorySource> host_memory() { return std::make_unique<HostMemory>(); }

std::unique_ptr<MemorySource> device_memory(int device) {
  return std::make_unique<DeviceMemory>(device, std::make_shared<OwnQueue>(device));
}

std::unique_ptr<MemorySource> MemorySource::another() const { return host_memory(); }

CachingAllocator::CachingAllocator(std::unique_ptr<MemorySource> source)
    : source_(std::move(source)) {}

CachingAllocator::~CachingAllocator() {
  try {
    trim();
  } catch (const kernels::DeviceError&) {
    // A GPU that has failed takes nothing back; whoever asked for its results was told.
  }
}

std::shared_ptr<CachingAllocator> CachingAllocator::sibling() const {
  auto other = std::make_shared<CachingAllocator>(source_->another());
  other->live_ = live_;
  return other;
}

int64_t CachingAllocator::round_up(int64_t bytes) {
  if (bytes <= kAlignment) return kAlignment;
  const int64_t step = std::max<int64_t>(
      kAlignment, int64_t{1} << (std::bit_width(static_cast<uint64_t>(bytes - 1)) - 4));
  return (bytes + step - 1) / step * step;
}

void* CachingAllocator::allocate(int64_t bytes) {
  const int64_t size = round_up(bytes);
  const std::lock_guard lock(mutex_);
  void* memory = nullptr;
  if (auto found = free_.find(size); found != free_.end() && !found->second.empty()) {
    memory = found->second.back();
    found->second.pop_back();
  } else {
    memory = take(*source_, free_, stats_, size);
    stats_.held_bytes += size;
  }
  stats_.in_use_bytes += size;
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.in_use_bytes);
  return memory;
}

void CachingAllocator::release(void* memory, int64_t bytes) {
  const int64_t size = round_up(bytes);
  const std::lock_guard lock(mutex_);
  free_[size].push_back(memory);
  stats_.in_use_bytes -= size;
}

void CachingAllocator::trim() {
  const std::lock_guard lock(mutex_);
  give_back(*source_, free_, stats_);
}

MemoryStats CachingAllocator::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace gliograd
