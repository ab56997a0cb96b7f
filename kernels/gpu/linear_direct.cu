// A linear layer as its formula says it, in one launch each way: a warp a sum, but a thread where
// neighbors read neighboring weights (dx). For what cuBLASLt does not serve, heads of few classes
// above all, where the launches cost more than the work.
#include "kernels/elementwise.hpp"
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"
#include "kernels/gpu/reduce.cuh"
#include "kernels/linear.hpp"

namespace gliograd::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

__device__ __forceinline__ int64_t warp_of(int64_t block) {
  return block * kWarps + static_cast<int>(threadIdx.x) / 32;
}
__device__ __forceinline__ bool leads_warp() { return threadIdx.x % 32 == 0; }

template <class T>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(LinearShape s, const T* x, const T* weight, const T* bias, T* y) {
  const int64_t at = warp_of(blockIdx.x);
  if (at >= s.n * s.out) return;  // a whole warp
  const int64_t n = at / s.out, o = at % s.out;
  float sum = sum_in_warp(s.in, [&](int64_t i) {
    return load_value(x + n * s.in + i) * load_value(weight + o * s.in + i);
  });
  if (!leads_warp()) return;
  if (bias != nullptr) sum += load_value(bias + o);
  if (s.relu) sum = elementwise::Relu::value(sum, 0.0f);
  store_value(y + at, sum);
}

// Which blocks of a launch compute what: first dx, then dweight, then dbias.
struct Parts {
  int64_t data = 0, weights = 0, bias = 0;
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(LinearShape s, Parts parts, const T* x, const T* weight, const T* dy, T* dx,
                    float* dweight, float* dbias) {
  int64_t block = blockIdx.x;
  if (block < parts.data) {
    const int64_t at = block * kThreads + threadIdx.x;
    if (at >= s.n * s.in) return;
    const int64_t n = at / s.in, i = at % s.in;
    const float sum = sum_of_runs(0, s.out, 1, [&](int64_t o) {
      return load_value(dy + n * s.out + o) * load_value(weight + o * s.in + i);
    });
    store_value(dx + at, sum);
    return;
  }
  block -= parts.data;
  if (block < parts.weights) {
    const int64_t at = warp_of(block);
    if (at >= s.out * s.in) return;  // a whole warp
    const int64_t o = at / s.in, i = at % s.in;
    const float sum = sum_in_warp(s.n, [&](int64_t n) {
      return load_value(dy + n * s.out + o) * load_value(x + n * s.in + i);
    });
    if (leads_warp()) dweight[at] = sum;
    return;
  }
  const int64_t o = warp_of(block - parts.weights);
  if (o >= s.out) return;  // a whole warp
  const float sum = sum_in_warp(s.n, [&](int64_t n) { return load_value(dy + n * s.out + o); });
  if (leads_warp()) dbias[o] = sum;
}

int64_t blocks_of(int64_t values, int64_t each) { return (values + each - 1) / each; }

void forward(Queue queue, const LinearShape& s, const void* x, const void* weight, const void* bias,
             void* y) {
  with_float_type(s.dtype, [&](auto t) {
    using T = decltype(t);
    launch({.name = "linear_forward",
            .grid = static_cast<unsigned>(blocks_of(s.n * s.out, kWarps)),
            .block = kThreads,
            .cost = s.cost()},
           queue, forward_kernel<T>, s, static_cast<const T*>(x), static_cast<const T*>(weight),
           static_cast<const T*>(bias), static_cast<T*>(y));
  });
}

// Each matrix that is needed is read or written once.
Cost cost_of(const LinearShape& s, const LinearGradients& wanted) {
  const double size = s.dtype == DType::f32 ? 4 : 2;
  const auto in = static_cast<double>(s.n * s.in), out = static_cast<double>(s.n * s.out);
  const auto weights = static_cast<double>(s.out * s.in);
  Cost cost{.bytes = out * size};
  if (wanted.dx != nullptr) cost.bytes += (weights + in) * size;
  if (wanted.dweight != nullptr) cost.bytes += in * size + weights * 4;
  if (wanted.dbias != nullptr) cost.bytes += static_cast<double>(s.out) * 4;
  cost.ops = 2.0 * static_cast<double>(s.n) * weights *
             ((wanted.dx != nullptr ? 1 : 0) + (wanted.dweight != nullptr ? 1 : 0));
  if (wanted.dbias != nullptr) cost.ops += out;
  return cost;
}

void backward(Queue queue, const LinearShape& s, const void* x, const void* weight, const void* dy,
              const LinearGradients& wanted) {
  const Parts parts{.data = wanted.dx != nullptr ? blocks_of(s.n * s.in, kThreads) : 0,
                    .weights = wanted.dweight != nullptr ? blocks_of(s.out * s.in, kWarps) : 0,
                    .bias = wanted.dbias != nullptr ? blocks_of(s.out, kWarps) : 0};
  const int64_t blocks = parts.data + parts.weights + parts.bias;
  if (blocks == 0) return;
  with_float_type(s.dtype, [&](auto t) {
    using T = decltype(t);
    launch({.name = "linear_backward",
            .grid = static_cast<unsigned>(blocks),
            .block = kThreads,
            .cost = cost_of(s, wanted)},
           queue, backward_kernel<T>, s, parts, static_cast<const T*>(x),
           static_cast<const T*>(weight), static_cast<const T*>(dy), static_cast<T*>(wanted.dx),
           wanted.dweight, wanted.dbias);
  });
}

const Provide<linear_direct_forward> provide_forward{forward};
const Provide<linear_direct_backward> provide_backward{backward};

}  // namespace
}  // namespace gliograd::kernels
