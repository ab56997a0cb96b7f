// Sigmoid cross-entropy: 16 bytes of x a thread and access, and the targets beside them.
#include <cfloat>
#include <cmath>

#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"
#include "kernels/gpu/reduce.cuh"
#include "kernels/sigmoid_cross_entropy.hpp"

namespace gliograd::kernels {
namespace {

constexpr int kThreads = kPackThreads;

// A weight as given; NaN where it is negative, infinite or NaN.
__device__ __forceinline__ float checked_weight(const float* weights, int64_t i) {
  if (weights == nullptr) return 1;
  const float v = weights[i];
  return v >= 0 && v <= FLT_MAX ? v : NAN;
}

// Walks along the values, with the row and class that each belongs to.
struct Place {
  int64_t row, k, classes;
  __device__ Place(int64_t i, int64_t classes_) : classes(classes_) {
    row = i / classes;
    k = i - row * classes;
  }
  __device__ void next() {
    if (++k < classes) return;
    k = 0;
    ++row;
  }
};

// What multiplies -log q and -log(1 - q) of one value: v * p * t and v * (1 - t).
struct Shares {
  float yes, no;
  __device__ Shares(const SigmoidCrossEntropyArgs& a, const Place& at, float target) {
    const float t = target >= 0 && target <= 1 ? target : NAN;
    const float v = checked_weight(a.sample_weights, at.row);
    yes = v * (checked_weight(a.pos_weight, at.k) * t);
    no = v * (1 - t);
  }
};

__device__ __forceinline__ float value_loss(float x, const Shares& of) {
  const float tail = log1pf(expf(-fabsf(x)));
  // Not by fmin and fmax, which drop a NaN (tail keeps it) and are no shorter.
  return of.yes * (tail - (x < 0 ? x : 0.0f)) + of.no * (tail + (x > 0 ? x : 0.0f));
}

__device__ __forceinline__ float value_gradient(float x, const Shares& of) {
  const float tail = expf(-fabsf(x));
  const float large = 1 / (1 + tail), small = tail / (1 + tail);
  const float q = x >= 0 ? large : small, not_q = x >= 0 ? small : large;
  return of.no * q - of.yes * not_q;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    loss_kernel(SigmoidCrossEntropyArgs a, double* partial, float* out) {
  const auto* x = static_cast<const T*>(a.x);
  double sum = 0;
  for_each_pack<kPack<T>>(a.n, [&](int64_t i, bool whole) {
    Place at(i, a.classes);
    if (whole) {
      float v[kPack<T>], t[kPack<T>];
      load_pack(v, x + i);
      load_pack(t, a.targets + i);
      GG_UNROLL
      for (int k = 0; k < kPack<T>; ++k, at.next()) sum += value_loss(v[k], Shares(a, at, t[k]));
    } else {
      for (; i < a.n; ++i, at.next()) {
        sum += value_loss(load_value(x + i), Shares(a, at, a.targets[i]));
      }
    }
  });
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1) {
    *out = static_cast<float>(sum / static_cast<double>(a.n));
  } else {
    partial[blockIdx.x] = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    join_loss_kernel(const double* partial, int blocks, int64_t n, float* out) {
  double sum = 0;
  for (int b = static_cast<int>(threadIdx.x); b < blocks; b += kThreads) sum += partial[b];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *out = static_cast<float>(sum / static_cast<double>(n));
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    gradients_kernel(SigmoidCrossEntropyArgs a, const float* dloss, T* dx) {
  const auto* x = static_cast<const T*>(a.x);
  const float over_m = *dloss / static_cast<float>(a.n);
  for_each_pack<kPack<T>>(a.n, [&](int64_t i, bool whole) {
    Place at(i, a.classes);
    if (whole) {
      float v[kPack<T>], t[kPack<T>];
      load_pack(v, x + i);
      load_pack(t, a.targets + i);
      GG_UNROLL
      for (int k = 0; k < kPack<T>; ++k, at.next()) {
        v[k] = over_m * value_gradient(v[k], Shares(a, at, t[k]));
      }
      store_pack(dx + i, v);
    } else {
      for (; i < a.n; ++i, at.next()) {
        const Shares of(a, at, a.targets[i]);
        store_value(dx + i, over_m * value_gradient(load_value(x + i), of));
      }
    }
  });
}

void loss(Queue queue, const SigmoidCrossEntropyArgs& args, double* scratch, float* out) {
  const int64_t blocks = sigmoid_cross_entropy_blocks(args.n);
  const auto n = static_cast<double>(args.n);
  with_float_type(args.dtype, [&](auto t) {
    using T = decltype(t);
    launch({.name = "sigmoid_cross_entropy",
            .grid = static_cast<unsigned>(blocks),
            .block = kThreads,
            .cost = {.bytes = n * (sizeof(T) + 4), .ops = 12 * n}},
           queue, loss_kernel<T>, args, scratch, out);
  });
  if (blocks == 1) return;
  launch({.name = "sigmoid_cross_entropy_join",
          .grid = 1,
          .block = kThreads,
          .cost = {.bytes = 8.0 * static_cast<double>(blocks)}},
         queue, join_loss_kernel, scratch, static_cast<int>(blocks), args.n, out);
}

void gradients(Queue queue, const SigmoidCrossEntropyArgs& args, const float* dloss, void* dx) {
  const auto n = static_cast<double>(args.n);
  with_float_type(args.dtype, [&](auto t) {
    using T = decltype(t);
    launch({.name = "sigmoid_cross_entropy_gradient",
            .grid = blocks_of_packs(args.n, kPack<T>),
            .block = kThreads,
            .cost = {.bytes = n * (2 * sizeof(T) + 4), .ops = 12 * n}},
           queue, gradients_kernel<T>, args, dloss, static_cast<T*>(dx));
  });
}

const Provide<sigmoid_cross_entropy_loss> provide_loss{loss};
const Provide<sigmoid_cross_entropy_gradients> provide_gradients{gradients};

}  // namespace
}  // namespace gliograd::kernels
