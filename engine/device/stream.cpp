#include "engine/device/stream.hpp"

#include <new>

#include "engine/core/error.hpp"

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
  GG_CHECK(options.threads >= 1, "stream: threads must be at least 1; got ", options.threads);
  return std::unique_ptr<Stream>(new Stream(Device::cpu, options));
}

Stream::Stream(Device device, const StreamOptions& options)
    : device_(device),
      options_(options),
      allocator_(std::make_shared<CachingAllocator>(host_memory())) {
  options_.random.low_word();  // checks the limits
  state_ = new (allocator_->allocate(sizeof(StepState))) StepState{};
}

Stream::~Stream() {
  locals_.clear();
  allocator_->release(state_, sizeof(StepState));
}

void Stream::set_random(const RandomKey& key) {
  key.low_word();
  options_.random = key;
}

}  // namespace gliograd
