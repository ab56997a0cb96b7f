// Softmax, and softmax cross-entropy, on a GPU. x is [rows, K] row by row in f32, bf16 or f16;
// labels are i32; weights, the loss and all arithmetic are f32, what is summed over rows f64, in an
// order that the shape alone fixes.
//
// Passes over memory: softmax reads x and writes y; its backward reads x and dy and writes dx. The
// loss reads x (with smoothing twice, the second time from the cache) and writes nothing but two
// floats a row; its backward reads x again, in place of probabilities that the forward pass would
// have had to write, and writes dx.
#pragma once
#include "kernels/entry.hpp"

namespace gliograd::kernels {

struct SoftmaxShape {
  int64_t rows = 0;
  int64_t classes = 0;
  DType dtype = DType::f32;
};

/// How the rows are cut into blocks of 256 threads. A row is served by `lanes` neighbors (a power
/// of two, at most 32), each of which takes `width` classes at a time.
struct SoftmaxBlocks {
  static constexpr int kThreads = 256;
  static constexpr int64_t kMostBlocks = 528;  // four for each multiprocessor of an H100

  int width = 1;  // 8, or 1 where 8 do not divide K
  int lanes = 1;
  int64_t rows_at_once = kThreads;  // by one block
  int64_t rows_each = 1;            // by one block in all: where rows are summed
  int64_t blocks = 1;               // so many of those

  SoftmaxBlocks(int64_t rows, int64_t classes) {
    width = classes % 8 == 0 ? 8 : 1;
    const int64_t groups = classes / width;
    while (lanes < groups && lanes < 32) lanes *= 2;
    rows_at_once = kThreads / lanes;
    const int64_t turns = (rows + rows_at_once - 1) / rows_at_once;
    // Four turns or more a block: the partial sums of few rows are then one, and a second launch,
    // to join them, is spared.
    const int64_t wanted = (turns + 3) / 4;
    const int64_t most = wanted < kMostBlocks ? (wanted > 0 ? wanted : 1) : kMostBlocks;
    rows_each = (turns + most - 1) / most * rows_at_once;
    blocks = rows_each > 0 ? (rows + rows_each - 1) / rows_each : 1;
  }
};

/// y = softmax(x) along K.
inline const Entry<void(Queue, const SoftmaxShape&, const void* x, void* y)> softmax_values{
    "softmax_values"};
/// dx = y * (dy - sum over the row of dy * y), with y from x; dx may be dy.
inline const Entry<void(Queue, const SoftmaxShape&, const void* dy, const void* x, void* dx)>
    softmax_gradients{"softmax_gradients"};

struct SoftmaxCrossEntropyArgs {
  const void* x = nullptr;
  const int32_t* labels = nullptr;        // [rows]
  const float* class_weights = nullptr;   // [K]; null: all 1
  const float* sample_weights = nullptr;  // [rows]; null: all 1
  float smoothing = 0;
  // Written by the loss, read by its gradient.
  float* stats = nullptr;   // [rows, 2]: the largest logit m, and sum_k e^(x_k - m)
  float* totals = nullptr;  // [2]: 1 / sum_i v_i w[y_i], and sum_k w[k]
};

/// The weighted mean loss. Where a label is not 0 to K - 1, a weight negative or not finite, or the
/// weights of all rows zero, the loss is NaN and so is every gradient. scratch: two doubles for
/// each of SoftmaxBlocks::blocks.
inline const Entry<void(Queue, const SoftmaxShape&, const SoftmaxCrossEntropyArgs&, double* scratch,
                        float* loss)>
    softmax_cross_entropy_loss{"softmax_cross_entropy_loss"};
/// dx, from *dloss.
inline const Entry<void(Queue, const SoftmaxShape&, const SoftmaxCrossEntropyArgs&,
                        const float* dloss, void* dx)>
    softmax_cross_entropy_gradients{"softmax_cross_entropy_gradients"};

}  // namespace gliograd::kernels
