// Stream: where work runs. A device, its queue, its memory, its random key and the state of the
// step in progress. Passed explicitly everywhere; several may work side by side in one process.
#pragma once
#include <cstdint>
#include <memory>
#include <ostream>
#include <typeindex>
#include <unordered_map>

#include "engine/device/allocator.hpp"
#include "kernels/base.hpp"
#include "kernels/step_state.hpp"

namespace gliograd {

enum class Device : uint8_t { cpu, cuda };
const char* name_of(Device device);
inline std::ostream& operator<<(std::ostream& out, Device device) { return out << name_of(device); }

/// Names all random numbers of a run; folds differ in it. Limits (checked): permutation 8191,
/// repeat 127, fold 511, inner 7.
struct RandomKey {
  uint32_t seed = 0;
  int32_t permutation = 0;
  int32_t repeat = 0;
  int32_t fold = 0;
  int32_t inner = 0;

  /// permutation << 19 | repeat << 12 | fold << 3 | inner. Errors: Error beyond a limit.
  uint32_t low_word() const;
};

struct StreamOptions {
  int threads = 1;             // the OpenMP team of CPU work
  bool deterministic = false;  // GPU: fixed choices, no float sums in no fixed order
  bool vendor = true;          // CPU: take oneDNN where it is built in; false: own kernels alone
  RandomKey random = {};
};

class Stream {
 public:
  /// A stream on the CPU. Errors: Error when threads < 1 or the random key breaks a limit.
  static std::unique_ptr<Stream> cpu(const StreamOptions& options = {});

  Device device() const { return device_; }
  kernels::Queue queue() const { return queue_; }
  int threads() const { return options_.threads; }
  bool deterministic() const { return options_.deterministic; }
  bool vendor() const { return options_.vendor; }
  const RandomKey& random() const { return options_.random; }
  void set_random(const RandomKey& key);
  /// In this stream's memory; on the CPU simply readable.
  StepState* state() { return state_; }
  /// Shared, because tensors may outlive the stream.
  const std::shared_ptr<CachingAllocator>& allocator() const { return allocator_; }

  /// One object of type T that lives as long as the stream: what a vendor library's path keeps per
  /// stream (handles, plans, primitives) without the stream knowing that library.
  template <class T>
  T& local() {
    std::shared_ptr<void>& slot = locals_[std::type_index(typeid(T))];
    if (!slot) slot = std::make_shared<T>();
    return *static_cast<T*>(slot.get());
  }

  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

 private:
  Stream(Device device, const StreamOptions& options);

  Device device_;
  StreamOptions options_;
  kernels::Queue queue_;
  std::shared_ptr<CachingAllocator> allocator_;
  StepState* state_ = nullptr;
  std::unordered_map<std::type_index, std::shared_ptr<void>> locals_;
};

}  // namespace gliograd
