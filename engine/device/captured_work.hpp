// Work that is recorded once as a CUDA graph and then replayed: a training step costs one launch.
#pragma once
#include <functional>
#include <memory>

#include "engine/device/stream.hpp"
#include "kernels/runtime.hpp"

namespace gliograd {

/// The recorded work has the pointers of its tensors baked in, so all its memory comes from an
/// arena of its own: what runs eagerly between two replays cannot be given a block that the graph
/// writes.
///
///   CapturedWork step(stream);
///   step.run(work);      // 1, eagerly: makes what stays (gradients, copies of weights)
///   step.run(work);      // 2: now the arena holds all that a later one takes
///   step.capture(work);  // recorded, not run: its host code runs now and never again
///   step.replay();       // 3, 4, ...
///
/// next(work) is these calls in this order, one a step.
///
/// What changes from step to step has to be read from memory of the device by the kernels
/// (StepState); the host reads nothing back inside.
class CapturedWork {
 public:
  /// Errors: Error where the stream is not a GPU's.
  explicit CapturedWork(Stream& stream);
  ~CapturedWork();
  CapturedWork(const CapturedWork&) = delete;
  CapturedWork& operator=(const CapturedWork&) = delete;

  void run(const std::function<void()>& work);
  /// Errors: WorkError where the work asks for more memory than run() left, DeviceError where it
  /// does what a capture forbids (waits, reads back). The stream is usable afterwards.
  void capture(const std::function<void()>& work);
  /// Errors: Error before capture(), and where what the work computes with is no longer what it was
  /// when it was recorded (a parameter was loaded, frozen, or computed with in another type): then
  /// nothing runs, and the work has to be recorded anew.
  void replay();
  /// One more step of the same work: run twice, then captured and replayed.
  void next(const std::function<void()>& work);

  /// Launches of the recorded work: kernels, copies, fills.
  int64_t nodes() const;
  const CachingAllocator& arena() const { return *arena_; }

 private:
  Stream* stream_;
  std::shared_ptr<CachingAllocator> arena_;
  kernels::Graph graph_;
  Stream::ReplayCalls calls_;
  int runs_ = 0;
};

}  // namespace gliograd
