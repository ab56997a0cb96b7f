// The convolution as its formula says it: a thread an element of the result (a warp, where pixels
// are summed), so that nothing is added by two.
#include "kernels/conv.hpp"
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"
#include "kernels/gpu/reduce.cuh"

namespace gliograd::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

template <class T>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(ConvShape g, const T* x, const T* weights, const T* bias, T* y) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= g.n * g.ho * g.wo * g.co) return;
  const int64_t o = at % g.co, j = at / g.co % g.wo, i = at / (g.co * g.wo) % g.ho;
  const int64_t n = at / (g.co * g.wo * g.ho);
  const int64_t cg = g.ci / g.groups, first = o / (g.co / g.groups) * cg;
  float sum = bias != nullptr ? load_value(bias + o) : 0.0f;
  for (int64_t r = 0; r < g.kh; ++r) {
    const int64_t row = i * g.stride - g.top + r * g.dilation;
    if (row < 0 || row >= g.h) continue;
    for (int64_t s = 0; s < g.kw; ++s) {
      const int64_t column = j * g.stride - g.left + s * g.dilation;
      if (column < 0 || column >= g.w) continue;
      const T* from = x + ((n * g.h + row) * g.w + column) * g.ci + first;
      const T* by = weights + ((o * g.kh + r) * g.kw + s) * cg;
      float tap = 0;  // a sum of its own: fewer roundings at the sum's size
      for (int64_t c = 0; c < cg; ++c) tap += load_value(from + c) * load_value(by + c);
      sum += tap;
    }
  }
  store_value(y + at, sum);
}

// The outputs that read this pixel: those whose stride meets it.
template <class T>
__global__ void __launch_bounds__(kThreads, 4)
    data_kernel(ConvShape g, const T* dy, const T* weights, T* dx) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= g.n * g.h * g.w * g.ci) return;
  const int64_t c = at % g.ci, column = at / g.ci % g.w, row = at / (g.ci * g.w) % g.h;
  const int64_t n = at / (g.ci * g.w * g.h);
  const int64_t cg = g.ci / g.groups, og = g.co / g.groups, first = c / cg * og;
  float sum = 0;
  for (int64_t r = 0; r < g.kh; ++r) {
    const int64_t i = row + g.top - r * g.dilation;  // times stride
    if (i < 0 || i % g.stride != 0 || i / g.stride >= g.ho) continue;
    for (int64_t s = 0; s < g.kw; ++s) {
      const int64_t j = column + g.left - s * g.dilation;
      if (j < 0 || j % g.stride != 0 || j / g.stride >= g.wo) continue;
      const T* from = dy + ((n * g.ho + i / g.stride) * g.wo + j / g.stride) * g.co + first;
      float tap = 0;
      for (int64_t o = 0; o < og; ++o) {
        const T* by = weights + (((first + o) * g.kh + r) * g.kw + s) * cg + c % cg;
        tap += load_value(from + o) * load_value(by);
      }
      sum += tap;
    }
  }
  store_value(dx + at, sum);
}

// A warp a weight; its lanes take the output pixels in turn.
template <class T>
__global__ void __launch_bounds__(kThreads)
    weights_kernel(ConvShape g, const T* dy, const T* x, float* dweights) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const int64_t cg = g.ci / g.groups;
  if (at >= g.co * g.kh * g.kw * cg) return;  // a whole warp
  const int64_t s = at / cg % g.kw, r = at / (cg * g.kw) % g.kh, o = at / (cg * g.kw * g.kh);
  const int64_t c = o / (g.co / g.groups) * cg + at % cg;
  const float sum = sum_in_warp(g.n * g.ho * g.wo, [&](int64_t p) {
    const int64_t j = p % g.wo, i = p / g.wo % g.ho, n = p / (g.wo * g.ho);
    const int64_t row = i * g.stride - g.top + r * g.dilation;
    const int64_t column = j * g.stride - g.left + s * g.dilation;
    if (row < 0 || row >= g.h || column < 0 || column >= g.w) return 0.0f;
    return load_value(dy + p * g.co + o) *
           load_value(x + ((n * g.h + row) * g.w + column) * g.ci + c);
  });
  if (threadIdx.x % 32 == 0) dweights[at] = sum;
}

// A block sums 32 channels: a warp's lanes side by side, the warps every eighth row.
template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_kernel(int64_t rows, int64_t channels, const T* dy, float* dbias) {
  __shared__ float parts[kWarps][32];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * 32 + lane;
  parts[warp][lane] =
      channel >= channels ? 0.0f : sum_of_runs(warp, rows, kWarps, [&](int64_t row) {
        return load_value(dy + row * channels + channel);
      });
  __syncthreads();
  if (warp != 0 || channel >= channels) return;
  float total = 0;
  for (int k = 0; k < kWarps; ++k) total += parts[k][lane];
  dbias[channel] = total;
}

// A launch of one thread an element, or of one warp (`each` threads).
Launch shape_of(const char* name, int64_t elements, int each, const ConvShape& g) {
  return {.name = name,
          .grid = static_cast<unsigned>((elements * each + kThreads - 1) / kThreads),
          .block = kThreads,
          .cost = g.cost()};
}

void forward(Queue queue, const ConvShape& g, const void* x, const void* weights, const void* bias,
             void* y) {
  with_float_type(g.dtype, [&](auto t) {
    using T = decltype(t);
    launch(shape_of("conv_direct_forward", g.n * g.ho * g.wo * g.co, 1, g), queue,
           forward_kernel<T>, g, static_cast<const T*>(x), static_cast<const T*>(weights),
           static_cast<const T*>(bias), static_cast<T*>(y));
  });
}

void data(Queue queue, const ConvShape& g, const void* dy, const void* weights, void* dx) {
  with_float_type(g.dtype, [&](auto t) {
    using T = decltype(t);
    launch(shape_of("conv_direct_data", g.n * g.h * g.w * g.ci, 1, g), queue, data_kernel<T>, g,
           static_cast<const T*>(dy), static_cast<const T*>(weights), static_cast<T*>(dx));
  });
}

void weights(Queue queue, const ConvShape& g, const void* dy, const void* x, float* dweights) {
  with_float_type(g.dtype, [&](auto t) {
    using T = decltype(t);
    launch(shape_of("conv_direct_weights", g.co * g.kh * g.kw * (g.ci / g.groups), 32, g), queue,
           weights_kernel<T>, g, static_cast<const T*>(dy), static_cast<const T*>(x), dweights);
  });
}

void sum_of_channels(Queue queue, DType dtype, int64_t rows, int64_t channels, const void* dy,
                     float* dbias) {
  const auto values = static_cast<double>(rows * channels);
  with_float_type(dtype, [&](auto t) {
    using T = decltype(t);
    const Launch shape{
        .name = "sum_channels",
        .grid = static_cast<unsigned>((channels + 31) / 32),
        .block = kThreads,
        .cost = {.bytes = values * sizeof(T) + 4.0 * static_cast<double>(channels), .ops = values}};
    launch(shape, queue, sum_kernel<T>, rows, channels, static_cast<const T*>(dy), dbias);
  });
}

const Provide<conv_direct_forward> provide_forward{forward};
const Provide<conv_direct_data> provide_data{data};
const Provide<conv_direct_weights> provide_weights{weights};
const Provide<sum_channels> provide_sum_channels{sum_of_channels};

}  // namespace
}  // namespace gliograd::kernels
