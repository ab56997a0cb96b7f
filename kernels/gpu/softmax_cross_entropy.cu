// Softmax and its loss. A group of lanes of one warp serves a row: neighbors read neighbors, and
// what a row needs is joined by shuffles. All threads of a block make the same number of turns, so
// that every lane is there at every shuffle.
#include <cfloat>
#include <cmath>

#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"
#include "kernels/gpu/reduce.cuh"
#include "kernels/softmax_cross_entropy.hpp"

namespace gliograd::kernels {
namespace {

constexpr int kThreads = SoftmaxBlocks::kThreads;

// What a launch tells its kernel about the rows.
struct Rows {
  int64_t rows, classes, rows_each;
  int lanes;
};

// A thread's place in its row.
struct Seat {
  int lane, lanes;
  int64_t row, rows_at_once;  // row: of the block's first turn, counted from its first row
  __device__ explicit Seat(const Rows& of)
      : lane(static_cast<int>(threadIdx.x) % of.lanes),
        lanes(of.lanes),
        row(static_cast<int>(threadIdx.x) / of.lanes),
        rows_at_once(kThreads / of.lanes) {}
};

template <int kWidth, class T>
__device__ __forceinline__ void load_classes(float (&v)[kWidth], const T* p) {
  if constexpr (kWidth == 1) {
    v[0] = load_value(p);
  } else {
    load_pack(v, p);
  }
}
template <int kWidth, class T>
__device__ __forceinline__ void store_classes(T* p, const float (&v)[kWidth]) {
  if constexpr (kWidth == 1) {
    store_value(p, v[0]);
  } else {
    store_pack(p, v);
  }
}

// Calls body(k) for the first of each kWidth classes that this lane serves.
template <int kWidth, class Body>
__device__ __forceinline__ void for_classes(const Seat& seat, int64_t classes, const Body& body) {
  for (int64_t k = seat.lane * kWidth; k < classes; k += seat.lanes * kWidth) body(k);
}

__device__ __forceinline__ float sum_of_row(float v, int lanes) {
  for (int with = lanes / 2; with > 0; with /= 2) v += __shfl_xor_sync(~0u, v, with);
  return v;
}

// sum e^x of a row, with its largest x taken out: finite wherever x is. Of no x at all: sum 0.
struct RowSum {
  float largest = -FLT_MAX, sum = 0;

  template <int kWidth>
  __device__ void add(const float (&v)[kWidth]) {
    float top = largest, more = 0;
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) top = fmaxf(top, v[k]);
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) more += expf(v[k] - top);  // NaN comes through here
    sum = sum * expf(largest - top) + more;
    largest = top;
  }
  __device__ void join_row(int lanes) {
    for (int with = lanes / 2; with > 0; with /= 2) {
      const float other = __shfl_xor_sync(~0u, largest, with);
      const float other_sum = __shfl_xor_sync(~0u, sum, with);
      const float top = fmaxf(largest, other);
      sum = sum * expf(largest - top) + other_sum * expf(other - top);
      largest = top;
    }
  }
};

// In one read of the row; `here` says whether this thread has one.
template <int kWidth, class T>
__device__ __forceinline__ RowSum sum_row(const Seat& seat, const T* x, int64_t classes,
                                          bool here) {
  RowSum s;
  if (here) {
    for_classes<kWidth>(seat, classes, [&](int64_t k) {
      float v[kWidth];
      load_classes(v, x + k);
      s.add(v);
    });
  }
  s.join_row(seat.lanes);
  return s;
}

// ---- softmax ----------------------------------------------------------------------------------

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads) values_kernel(const T* x, T* y, Rows of) {
  const Seat seat(of);
  const int64_t step = gridDim.x * seat.rows_at_once;
  for (int64_t turn = blockIdx.x * seat.rows_at_once; turn < of.rows; turn += step) {
    const int64_t row = turn + seat.row;
    const bool here = row < of.rows;
    const RowSum s = sum_row<kWidth>(seat, x + row * of.classes, of.classes, here);
    if (!here) continue;
    for_classes<kWidth>(seat, of.classes, [&](int64_t k) {
      float v[kWidth];
      load_classes(v, x + row * of.classes + k);
      GG_UNROLL
      for (float& one : v) one = expf(one - s.largest) / s.sum;
      store_classes(y + row * of.classes + k, v);
    });
  }
}

// With y made anew from x: a y rounded to 16 bits no longer sums to one, and the difference below
// would bring that out.
template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads)
    gradients_kernel(const T* dy, const T* x, T* dx, Rows of) {
  const Seat seat(of);
  const int64_t step = gridDim.x * seat.rows_at_once;
  for (int64_t turn = blockIdx.x * seat.rows_at_once; turn < of.rows; turn += step) {
    const int64_t row = turn + seat.row, at = row * of.classes;
    const bool here = row < of.rows;
    const RowSum s = sum_row<kWidth>(seat, x + at, of.classes, here);
    float dot = 0;
    if (here) {
      for_classes<kWidth>(seat, of.classes, [&](int64_t k) {
        float d[kWidth], v[kWidth];
        load_classes(d, dy + at + k);
        load_classes(v, x + at + k);
        GG_UNROLL
        for (int j = 0; j < kWidth; ++j) dot += d[j] * (expf(v[j] - s.largest) / s.sum);
      });
    }
    dot = sum_of_row(dot, seat.lanes);
    if (!here) continue;
    for_classes<kWidth>(seat, of.classes, [&](int64_t k) {
      float d[kWidth], v[kWidth];
      load_classes(d, dy + at + k);
      load_classes(v, x + at + k);
      GG_UNROLL
      for (int j = 0; j < kWidth; ++j) d[j] = expf(v[j] - s.largest) / s.sum * (d[j] - dot);
      store_classes(dx + at + k, d);
    });
  }
}

// ---- the loss ---------------------------------------------------------------------------------

// A weight as given; NaN where it is negative, infinite or NaN.
__device__ __forceinline__ float checked_weight(const float* weights, int64_t i) {
  if (weights == nullptr) return 1;
  const float v = weights[i];
  return v >= 0 && v <= FLT_MAX ? v : NAN;
}
// That of the row's label; NaN where there is no such class.
__device__ __forceinline__ float label_weight(const SoftmaxCrossEntropyArgs& a, int32_t label,
                                              int64_t classes) {
  return label >= 0 && label < classes ? checked_weight(a.class_weights, label) : NAN;
}

// The whole block: loss and weight are the sums over all rows, in every thread.
__device__ void finish_loss(const SoftmaxCrossEntropyArgs& a, int64_t classes, double loss,
                            double weight, float* out) {
  double all = 0;
  for (int64_t k = threadIdx.x; k < classes; k += kThreads) {
    all += checked_weight(a.class_weights, k);
  }
  all = block_sum<kThreads>(all);
  if (threadIdx.x != 0) return;
  // One bad weight spoils the loss, whether or not a row has that class.
  const bool sound = weight > 0 && all >= 0;
  *out = sound ? static_cast<float>(loss / weight) : NAN;
  a.totals[0] = sound ? static_cast<float>(1 / weight) : NAN;
  a.totals[1] = static_cast<float>(all);
}

// partial: of each block the sums of v_i * l_i and of v_i * w[y_i]. One block alone goes on to the
// end by itself.
template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads)
    loss_kernel(SoftmaxCrossEntropyArgs a, Rows of, double* partial, float* out) {
  const Seat seat(of);
  const int64_t begin = blockIdx.x * of.rows_each;
  const int64_t end = begin + of.rows_each < of.rows ? begin + of.rows_each : of.rows;
  const float spread = a.smoothing / static_cast<float>(of.classes);
  double loss = 0, weight = 0;
  for (int64_t turn = begin; turn < end; turn += seat.rows_at_once) {
    const int64_t row = turn + seat.row;
    const bool here = row < end;
    const T* x = static_cast<const T*>(a.x) + row * of.classes;
    const RowSum s = sum_row<kWidth>(seat, x, of.classes, here);
    const float log_sum = logf(s.sum);
    float smooth = 0;  // sum_k w[k] * -log q[k]
    if (a.smoothing > 0) {
      if (here) {
        for_classes<kWidth>(seat, of.classes, [&](int64_t k) {
          float v[kWidth];
          load_classes(v, x + k);
          GG_UNROLL
          for (int j = 0; j < kWidth; ++j) {
            const float w = a.class_weights != nullptr ? a.class_weights[k + j] : 1.0f;
            smooth += w * ((s.largest - v[j]) + log_sum);
          }
        });
      }
      smooth = sum_of_row(smooth, seat.lanes);
    }
    if (!here || seat.lane != 0) continue;
    const int32_t label = a.labels[row];
    const float w = label_weight(a, label, of.classes), v = checked_weight(a.sample_weights, row);
    const float hit = w >= 0 ? (s.largest - load_value(x + label)) + log_sum : NAN;
    loss += static_cast<double>(v) * ((1 - a.smoothing) * w * hit + spread * smooth);
    weight += static_cast<double>(v) * w;
    a.stats[2 * row] = s.largest;
    a.stats[2 * row + 1] = s.sum;
  }
  loss = block_sum<kThreads>(loss);
  weight = block_sum<kThreads>(weight);
  if (gridDim.x == 1) {
    finish_loss(a, of.classes, loss, weight, out);
  } else if (threadIdx.x == 0) {
    partial[2 * blockIdx.x] = loss;
    partial[2 * blockIdx.x + 1] = weight;
  }
}

__global__ void __launch_bounds__(kThreads)
    join_loss_kernel(SoftmaxCrossEntropyArgs a, int64_t classes, const double* partial, int blocks,
                     float* out) {
  double loss = 0, weight = 0;
  for (int b = static_cast<int>(threadIdx.x); b < blocks; b += kThreads) {
    loss += partial[2 * b];
    weight += partial[2 * b + 1];
  }
  loss = block_sum<kThreads>(loss);
  weight = block_sum<kThreads>(weight);
  finish_loss(a, classes, loss, weight, out);
}

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads, 4)
    loss_gradients_kernel(SoftmaxCrossEntropyArgs a, Rows of, const float* dloss, T* dx) {
  const Seat seat(of);
  const float scale = *dloss * a.totals[0], all = a.totals[1];
  const float spread = a.smoothing / static_cast<float>(of.classes);
  const int64_t step = gridDim.x * seat.rows_at_once;
  for (int64_t row = blockIdx.x * seat.rows_at_once + seat.row; row < of.rows; row += step) {
    const T* x = static_cast<const T*>(a.x) + row * of.classes;
    const int32_t label = a.labels[row];
    const float hit = (1 - a.smoothing) * label_weight(a, label, of.classes);
    const float factor = scale * (a.sample_weights != nullptr ? a.sample_weights[row] : 1.0f);
    const float largest = a.stats[2 * row], sum = a.stats[2 * row + 1];
    for_classes<kWidth>(seat, of.classes, [&](int64_t k) {
      float v[kWidth];
      load_classes(v, x + k);
      GG_UNROLL
      for (int j = 0; j < kWidth; ++j) {
        const float q = expf(v[j] - largest) / sum;
        const float w = a.class_weights != nullptr ? a.class_weights[k + j] : 1.0f;
        const float target = k + j == label ? 1.0f : 0.0f;
        v[j] = factor * (hit * (q - target) + spread * (all * q - w));
      }
      store_classes(dx + row * of.classes + k, v);
    });
  }
}

// ---- launches ---------------------------------------------------------------------------------

Rows rows_of(const SoftmaxShape& shape, const SoftmaxBlocks& blocks) {
  return {shape.rows, shape.classes, blocks.rows_each, blocks.lanes};
}

double bytes_of(const SoftmaxShape& shape, size_t element, int passes) {
  return static_cast<double>(shape.rows * shape.classes) * static_cast<double>(element) * passes;
}

// A pass that writes: as many blocks as there are rows for, up to a few waves.
Launch writing(const char* name, const SoftmaxShape& shape, const SoftmaxBlocks& blocks,
               double bytes) {
  constexpr int64_t kMost = 4096;
  const int64_t wanted = (shape.rows + blocks.rows_at_once - 1) / blocks.rows_at_once;
  return {.name = name,
          .grid = static_cast<unsigned>(wanted < kMost ? wanted : kMost),
          .block = kThreads,
          .cost = {.bytes = bytes, .ops = 8.0 * static_cast<double>(shape.rows * shape.classes)}};
}

void values(Queue queue, const SoftmaxShape& shape, const void* x, void* y) {
  if (shape.rows == 0) return;
  const SoftmaxBlocks blocks(shape.rows, shape.classes);
  with_pack(blocks.width, shape.dtype, [&](auto width, auto t) {
    using T = decltype(t);
    launch(writing("softmax", shape, blocks, bytes_of(shape, sizeof(T), 2)), queue,
           values_kernel<decltype(width)::value, T>, static_cast<const T*>(x), static_cast<T*>(y),
           rows_of(shape, blocks));
  });
}

void gradients(Queue queue, const SoftmaxShape& shape, const void* dy, const void* x, void* dx) {
  if (shape.rows == 0) return;
  const SoftmaxBlocks blocks(shape.rows, shape.classes);
  with_pack(blocks.width, shape.dtype, [&](auto width, auto t) {
    using T = decltype(t);
    launch(writing("softmax_gradient", shape, blocks, bytes_of(shape, sizeof(T), 3)), queue,
           gradients_kernel<decltype(width)::value, T>, static_cast<const T*>(dy),
           static_cast<const T*>(x), static_cast<T*>(dx), rows_of(shape, blocks));
  });
}

void loss(Queue queue, const SoftmaxShape& shape, const SoftmaxCrossEntropyArgs& args,
          double* scratch, float* out) {
  const SoftmaxBlocks blocks(shape.rows, shape.classes);
  const double rows = static_cast<double>(shape.rows);
  with_pack(blocks.width, shape.dtype, [&](auto width, auto t) {
    using T = decltype(t);
    launch({.name = "softmax_cross_entropy",
            .grid = static_cast<unsigned>(blocks.blocks),
            .block = kThreads,
            .cost = {.bytes = bytes_of(shape, sizeof(T), 1) + 12 * rows,
                     .ops = 6 * rows * static_cast<double>(shape.classes)}},
           queue, loss_kernel<decltype(width)::value, T>, args, rows_of(shape, blocks), scratch,
           out);
  });
  if (blocks.blocks == 1) return;
  launch({.name = "softmax_cross_entropy_join",
          .grid = 1,
          .block = kThreads,
          .cost = {.bytes = 16.0 * static_cast<double>(blocks.blocks)}},
         queue, join_loss_kernel, args, shape.classes, scratch, static_cast<int>(blocks.blocks),
         out);
}

void loss_gradients(Queue queue, const SoftmaxShape& shape, const SoftmaxCrossEntropyArgs& args,
                    const float* dloss, void* dx) {
  const SoftmaxBlocks blocks(shape.rows, shape.classes);
  with_pack(blocks.width, shape.dtype, [&](auto width, auto t) {
    using T = decltype(t);
    launch(writing("softmax_cross_entropy_gradient", shape, blocks, bytes_of(shape, sizeof(T), 2)),
           queue, loss_gradients_kernel<decltype(width)::value, T>, args, rows_of(shape, blocks),
           dloss, static_cast<T*>(dx));
  });
}

const Provide<softmax_values> provide_values{values};
const Provide<softmax_gradients> provide_gradients{gradients};
const Provide<softmax_cross_entropy_loss> provide_loss{loss};
const Provide<softmax_cross_entropy_gradients> provide_loss_gradients{loss_gradients};

}  // namespace
}  // namespace gliograd::kernels
