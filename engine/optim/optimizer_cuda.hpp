// A step on a GPU: the tables that kernels/optimizer.hpp wants, in device memory. Only
// optimizer.cpp includes this.
#pragma once
#include <string>
#include <vector>

#include "engine/device/stream.hpp"
#include "engine/optim/learning_rates.hpp"
#include "engine/tensor/tensor.hpp"
#include "kernels/optimizer.hpp"

namespace gliograd::optim {

/// Slots and their chunks in device memory, made anew only when the slots differ from those of the
/// call before: so a captured step finds the table of the steps before it. A table that a captured
/// step has taken stays where it is, since the step may be replayed after others were made.
class DeviceTable {
 public:
  /// `rates` and `outcome` stay unset. The host waits for the stream when the table is made.
  /// Errors: Error when it would have to be made while the stream is being captured.
  const kernels::UpdateTable& of(Stream& stream, const std::vector<kernels::UpdateSlot>& slots);

 private:
  std::vector<kernels::UpdateSlot> slots_;
  Tensor memory_;  // u8: slots, chunks, numbers, partial sums
  kernels::UpdateTable table_;
  bool made_ = false;
  bool recorded_ = false;     // a captured step has its address
  std::vector<Tensor> kept_;  // such, of other slots
};

/// What an optimizer keeps on a GPU.
class DeviceSteps {
 public:
  DeviceSteps(Stream& stream, const kernels::UpdateSettings& settings, const LearningRates& rates);

  /// Queues one step over these slots.
  void step(Stream& stream, const std::vector<kernels::UpdateSlot>& slots);
  /// Exchanges weights and averages.
  void swap(Stream& stream, const std::vector<kernels::UpdateSlot>& slots);
  /// Waits for the last step. NaN before the first. Errors: Error when that step was beyond the
  /// last learning rate.
  double gradient_norm(const Stream& stream) const;

 private:
  kernels::UpdateSettings settings_;
  Tensor rates_;    // f64
  Tensor outcome_;  // u8: an UpdateOutcome
  DeviceTable steps_, swaps_;
};

}  // namespace gliograd::optim
