#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"
#include "kernels/pad.hpp"

namespace gliograd::kernels {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads)
    copy_kernel(int64_t rows, int64_t from_channels, const T* x, int64_t to_channels, T* y) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= rows * to_channels) return;
  const int64_t row = at / to_channels, c = at % to_channels;
  store_value(y + at, c < from_channels ? load_value(x + row * from_channels + c) : 0.0f);
}

void copy(Queue queue, DType dtype, int64_t rows, int64_t from_channels, const void* x,
          int64_t to_channels, void* y) {
  const int64_t n = rows * to_channels;
  if (n == 0) return;
  with_float_type(dtype, [&](auto t) {
    using T = decltype(t);
    const double moved =
        static_cast<double>(rows) * static_cast<double>(from_channels + to_channels);
    launch({.name = "copy_channels",
            .grid = static_cast<unsigned>((n + kThreads - 1) / kThreads),
            .block = kThreads,
            .cost = {.bytes = moved * sizeof(T)}},
           queue, copy_kernel<T>, rows, from_channels, static_cast<const T*>(x), to_channels,
           static_cast<T*>(y));
  });
}

const Provide<copy_channels> provide_copy{copy};

}  // namespace
}  // namespace gliograd::kernels
