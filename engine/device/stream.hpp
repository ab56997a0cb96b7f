// Stream: where work runs. A device, its queue, its memory, its random key and the state of the
// step in progress. Passed explicitly everywhere; several may work side by side in one process.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/device/allocator.hpp"
#include "engine/device/plan_choices.hpp"
#include "kernels/base.hpp"
#include "kernels/step_state.hpp"

namespace gliograd {

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
  bool tf32 = false;           // GPU: products of f32 may round their factors to TF32's 10 bits
  std::shared_ptr<PlanChoices> plans = {};  // GPU: plans are timed, or taken from here; null: the
                                            // heuristics' first. Not where deterministic
  bool vendor = true;  // CPU: take oneDNN where it is built in; false: own kernels alone
  RandomKey random = {};
};

class Stream {
 public:
  /// A stream on the CPU. Errors: Error when threads < 1 or the random key breaks a limit.
  static std::unique_ptr<Stream> cpu(const StreamOptions& options = {});
  /// A stream on a GPU, 0 being the first. Errors: as cpu(); DeviceError where there is no such
  /// GPU.
  static std::unique_ptr<Stream> cuda(int device = 0, const StreamOptions& options = {});

  Device device() const { return allocator_->device(); }
  kernels::Queue queue() const { return allocator_->queue(); }
  int threads() const { return options_.threads; }
  bool deterministic() const { return options_.deterministic; }
  bool tf32() const { return options_.tf32; }
  PlanChoices* plans() const { return deterministic() ? nullptr : options_.plans.get(); }
  bool vendor() const { return options_.vendor; }
  const RandomKey& random() const { return options_.random; }
  void set_random(const RandomKey& key);
  /// In this stream's memory: what ops are given. On a GPU the host cannot follow this pointer.
  StepState* state() { return state_; }
  /// By value, for the host; on a GPU both wait for all queued work.
  StepState read_state() const;
  void write_state(const StepState& state);
  /// Returns when all work is done. Errors: DeviceError where any of it failed.
  void wait() const;
  /// Shared, because tensors may outlive the stream.
  const std::shared_ptr<CachingAllocator>& allocator() const { return allocator_; }
  /// Takes memory from `arena` from now on, a sibling of the present one, which is returned.
  std::shared_ptr<CachingAllocator> use(std::shared_ptr<CachingAllocator> arena);

  using ReplayCalls = std::vector<std::function<void()>>;
  /// What the host has to do for recorded work, whose own code does not run again: `call` is called
  /// before each replay, in the order of recording, and may throw, which refuses that replay. To be
  /// called while work is recorded (CapturedWork); else `call` is dropped.
  void before_replay(std::function<void()> call) {
    if (replay_calls_ != nullptr) replay_calls_->push_back(std::move(call));
  }
  bool recording() const { return replay_calls_ != nullptr; }
  /// Where before_replay() puts its calls from now on; null: nowhere. CapturedWork's alone.
  void record_calls(ReplayCalls* calls) { replay_calls_ = calls; }

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
  Stream(std::unique_ptr<MemorySource> memory, const StreamOptions& options);

  StreamOptions options_;
  std::shared_ptr<CachingAllocator> allocator_;
  std::shared_ptr<CachingAllocator> first_allocator_;  // which holds the state
  StepState* state_ = nullptr;
  ReplayCalls* replay_calls_ = nullptr;
  std::unordered_map<std::type_index, std::shared_ptr<void>> locals_;
};

}  // namespace gliograd
