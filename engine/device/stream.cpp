#include "engine/device/stream.hpp"

#include <new>
#include <utility>

#include "engine/core/error.hpp"
#include "kernels/runtime.hpp"

namespace gliograd {

const char* name_of(Device device) { return device == Device::cpu ? "cpu" : "cuda"; }

uint32_t RandomKey::low_word() const {
  GG_CHECK(permutation >= 0 && permutation <= 8191,
           "random key: permutation must be 0 to 8191; got ", permutation);
  GG_CHECK(repeat >= 0 && repeat <= 127, "random key: repeat must be 0 to 127; got ", repeat);
  GG_CHECK(fold >= 0 && fold <= 511, "random key: fold must be 0 to 511; got ", fold);
  GG_CHECK(inner >= 0 && inner <= 7, "random key: inner must be 0 to 7; got ", inner);
  return static_cast<uint32_t>(permutation) << 19 | static_cast<uint32_t>(repeat) << 12 |
         static_cast<uint32_t>(fold) << 3 | static_cast<uint32_t>(inner);
}

std::unique_ptr<Stream> Stream::cpu(const StreamOptions& options) {
  return std::unique_ptr<Stream>(new Stream(host_memory(), options));
}

std::unique_ptr<Stream> Stream::cuda(int device, const StreamOptions& options) {
  return std::unique_ptr<Stream>(new Stream(device_memory(device), options));
}

Stream::Stream(std::unique_ptr<MemorySource> memory, const StreamOptions& options)
    : options_(options),
      allocator_(std::make_shared<CachingAllocator>(std::move(memory))),
      first_allocator_(allocator_) {
  GG_CHECK(options.threads >= 1, "stream: threads must be at least 1; got ", options.threads);
  options_.random.low_word();  // checks the limits
  state_ = static_cast<StepState*>(allocator_->allocate(sizeof(StepState)));
  write_state({});
}

Stream::~Stream() {
  try {
    wait();  // for work that uses what goes now
  } catch (const kernels::DeviceError&) {
    // It has failed; whoever asked for its results was told.
  }
  locals_.clear();
  first_allocator_->release(state_, sizeof(StepState));
}

std::shared_ptr<CachingAllocator> Stream::use(std::shared_ptr<CachingAllocator> arena) {
  GG_CHECK(arena->device() == device() && arena->queue().handle == queue().handle,
           "stream: the arena belongs to another stream");
  return std::exchange(allocator_, std::move(arena));
}

StepState Stream::read_state() const {
  StepState state;
  if (device() == Device::cpu) return *state_;
  kernels::copy_memory(queue(), &state, state_, sizeof state, kernels::CopyKind::to_host);
  wait();
  return state;
}

void Stream::write_state(const StepState& state) {
  if (device() == Device::cpu) {
    new (state_) StepState(state);
    return;
  }
  kernels::copy_memory(queue(), state_, &state, sizeof state, kernels::CopyKind::to_device);
  wait();
}

void Stream::wait() const {
  if (device() == Device::cuda) kernels::wait_queue(queue());
}

void Stream::set_random(const RandomKey& key) {
  key.low_word();
  options_.random = key;
}

}  // namespace gliograd
