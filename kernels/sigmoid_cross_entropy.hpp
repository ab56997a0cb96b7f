// Sigmoid cross-entropy on a GPU. x is [rows, K] in f32, bf16 or f16; targets, weights, the loss
// and all arithmetic are f32, what is summed over the values f64, in an order that their number
// alone fixes.
//
// Passes over memory: the loss reads x and the targets, its backward reads both again and writes
// dx.
#pragma once
#include "kernels/entry.hpp"

namespace gliograd::kernels {

struct SigmoidCrossEntropyArgs {
  int64_t n = 0;  // rows * K
  int64_t classes = 1;
  DType dtype = DType::f32;
  const void* x = nullptr;
  const float* targets = nullptr;         // [n]
  const float* pos_weight = nullptr;      // [K]; null: all 1
  const float* sample_weights = nullptr;  // [rows]; null: all 1
};

/// Blocks of the loss, by n alone: 16 values a thread or more, so that few values need but one.
inline int64_t sigmoid_cross_entropy_blocks(int64_t n) {
  constexpr int64_t kMost = 528;  // four for each multiprocessor of an H100
  const int64_t wanted = (n + 4095) / 4096;
  return wanted < kMost ? (wanted > 0 ? wanted : 1) : kMost;
}

/// The mean loss. Where a target is not 0 to 1, or a weight negative or not finite, it is NaN, and
/// so are the gradients of the values that this touches. scratch: a double for each block.
inline const Entry<void(Queue, const SigmoidCrossEntropyArgs&, double* scratch, float* loss)>
    sigmoid_cross_entropy_loss{"sigmoid_cross_entropy_loss"};
/// dx, from *dloss.
inline const Entry<void(Queue, const SigmoidCrossEntropyArgs&, const float* dloss, void* dx)>
    sigmoid_cross_entropy_gradients{"sigmoid_cross_entropy_gradients"};

}  // namespace gliograd::kernels
