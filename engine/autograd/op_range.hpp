// Which op is at work: told to NVTX, to the record of launches of a GPU's queue, to the arena (for
// the message when it runs out of memory), and to whoever observes a tape.
#pragma once
#include <cstddef>
#include <vector>

#include "engine/autograd/tape.hpp"

namespace gliograd {

/// Told what a tape does, as it does it: a profile's ears.
class TapeObserver {
 public:
  virtual ~TapeObserver() = default;
  /// An op's forward pass. One op may call another.
  virtual void forward_begins(const char* op) = 0;
  virtual void forward_ends() = 0;
  /// In between: the op puts a node on the tape.
  virtual void recorded(const Node& node, const Tensor& y, const std::vector<Tensor>& inputs) = 0;
  /// Nodes count from 0 in the order in which they were recorded.
  virtual void backward_begins(size_t node) = 0;
  virtual void backward_ends(size_t node, const Tensor& dy,
                             const std::vector<Tensor>& gradients) = 0;
};

/// While one lives, the op of this name is at work; every op's entry begins with one.
class OpRange {
 public:
  OpRange(Tape& tape, const char* op);
  /// For work that is on no tape. `op` must outlive the range; a GPU's record may know the range
  /// under another name.
  OpRange(Stream& stream, const char* op) : OpRange(stream, op, op) {}
  OpRange(Stream& stream, const char* op, const char* recorded_as);
  ~OpRange();
  OpRange(const OpRange&) = delete;
  OpRange& operator=(const OpRange&) = delete;

 private:
  kernels::Queue queue_;  // null on the CPU
  LiveBlocks* live_;
  const char* outer_;
  TapeObserver* observer_ = nullptr;
};

}  // namespace gliograd
