// Depthwise convolution: a channel meets its own weights alone, so there is no product of matrices
// in it, and memory is the limit: each pass reads and writes each image once, what neighbors read
// again comes from the caches. A thread serves one pixel of what it writes, and of that 8 channels,
// or one where 8 do not divide C.
#include "kernels/conv.hpp"
#include "kernels/gpu/pool.cuh"  // Pixel
#include "kernels/gpu/reduce.cuh"

namespace gliograd::kernels {
namespace {

// w[k] of channel c + k at a tap; [C, kh, kw] lies apart for neighbors, and is small.
template <int kWidth, class T>
__device__ __forceinline__ void load_weights(float (&w)[kWidth], const T* weights, int64_t c,
                                             int64_t tap, int64_t taps) {
  GG_UNROLL
  for (int k = 0; k < kWidth; ++k) w[k] = load_value(weights + (c + k) * taps + tap);
}

template <int kWidth, class T>
__global__ void __launch_bounds__(kPackThreads)
    forward_kernel(ConvShape s, const T* x, const T* weights, const T* bias, T* y) {
  const int64_t taps = s.kh * s.kw;
  for_each_pack<kWidth>(s.n * s.ho * s.wo * s.co, [&](int64_t at, bool) {
    const Pixel out(at, s.ho, s.wo, s.co);
    float sum[kWidth] = {};
    if (bias != nullptr) load_pack(sum, bias + out.channel);
    for (int64_t r = 0; r < s.kh; ++r) {
      const int64_t row = out.row * s.stride - s.top + r * s.dilation;
      if (row < 0 || row >= s.h) continue;
      for (int64_t t = 0; t < s.kw; ++t) {
        const int64_t column = out.column * s.stride - s.left + t * s.dilation;
        if (column < 0 || column >= s.w) continue;
        float v[kWidth], w[kWidth];
        load_pack(v, x + ((out.n * s.h + row) * s.w + column) * s.ci + out.channel);
        load_weights(w, weights, out.channel, r * s.kw + t, taps);
        GG_UNROLL
        for (int k = 0; k < kWidth; ++k) sum[k] += v[k] * w[k];
      }
    }
    store_pack(y + at, sum);
  });
}

// The output pixel that met input pixel `at` at a tap; -1 where none did.
__device__ __forceinline__ int64_t met(int64_t at, int64_t before, int64_t tap, int64_t out,
                                       const ConvShape& s) {
  const int64_t from = at + before - tap * s.dilation;
  if (from < 0 || from % s.stride != 0) return -1;
  return from / s.stride < out ? from / s.stride : -1;
}

template <int kWidth, class T>
__global__ void __launch_bounds__(kPackThreads)
    data_kernel(ConvShape s, const T* dy, const T* weights, T* dx) {
  const int64_t taps = s.kh * s.kw;
  for_each_pack<kWidth>(s.n * s.h * s.w * s.ci, [&](int64_t at, bool) {
    const Pixel in(at, s.h, s.w, s.ci);
    float sum[kWidth] = {};
    for (int64_t r = 0; r < s.kh; ++r) {
      const int64_t i = met(in.row, s.top, r, s.ho, s);
      if (i < 0) continue;
      for (int64_t t = 0; t < s.kw; ++t) {
        const int64_t j = met(in.column, s.left, t, s.wo, s);
        if (j < 0) continue;
        float d[kWidth], w[kWidth];
        load_pack(d, dy + ((in.n * s.ho + i) * s.wo + j) * s.co + in.channel);
        load_weights(w, weights, in.channel, r * s.kw + t, taps);
        GG_UNROLL
        for (int k = 0; k < kWidth; ++k) sum[k] += d[k] * w[k];
      }
    }
    store_pack(dx + at, sum);
  });
}

// Block (channels, tap, slice of the pixels): `lanes` threads along the channels, the others down
// the pixels; then the rows of threads are summed. partial [slices, taps, C].
template <int kWidth, class T>
__global__ void __launch_bounds__(kPackThreads)
    partial_kernel(ConvShape s, int lanes, const T* dy, const T* x, float* partial) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int level = static_cast<int>(threadIdx.x) / lanes, depth = kPackThreads / lanes;
  const int64_t c = (static_cast<int64_t>(blockIdx.x) * lanes + lane) * kWidth;
  const int64_t tap = blockIdx.y, r = tap / s.kw, t = tap % s.kw;
  float sum[kWidth] = {};
  if (c < s.co) {
    const int64_t step = static_cast<int64_t>(gridDim.z) * depth;
    for (int64_t p = static_cast<int64_t>(blockIdx.z) * depth + level; p < s.n * s.ho * s.wo;
         p += step) {
      const int64_t j = p % s.wo, i = p / s.wo % s.ho, n = p / (s.wo * s.ho);
      const int64_t row = i * s.stride - s.top + r * s.dilation;
      const int64_t column = j * s.stride - s.left + t * s.dilation;
      if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
      float d[kWidth], v[kWidth];
      load_pack(d, dy + p * s.co + c);
      load_pack(v, x + ((n * s.h + row) * s.w + column) * s.ci + c);
      GG_UNROLL
      for (int k = 0; k < kWidth; ++k) sum[k] += d[k] * v[k];
    }
  }
  sum_rows<kPackThreads>(sum, lanes);
  if (level != 0 || c >= s.co) return;
  const int64_t taps = s.kh * s.kw;
  store_pack(partial + (static_cast<int64_t>(blockIdx.z) * taps + tap) * s.co + c, sum);
}

// dweights [C, taps] from the slices in their order, a thread a weight.
__global__ void __launch_bounds__(kPackThreads)
    join_kernel(int64_t channels, int64_t taps, int64_t slices, const float* partial,
                float* dweights) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kPackThreads + threadIdx.x;
  if (at >= channels * taps) return;
  const int64_t tap = at / channels, c = at % channels;
  double sum = 0;
  for (int64_t z = 0; z < slices; ++z) sum += partial[(z * taps + tap) * channels + c];
  dweights[c * taps + tap] = static_cast<float>(sum);
}

Launch over_pixels(const char* name, const ConvShape& s, int64_t written, int width) {
  return {.name = name,
          .grid = blocks_of_packs(written, width),
          .block = kPackThreads,
          .cost = s.cost()};
}

void forward(Queue queue, const ConvShape& s, const void* x, const void* weights, const void* bias,
             void* y) {
  with_pack(channel_width(s.co), s.dtype, [&](auto width, auto t) {
    using T = decltype(t);
    constexpr int kWidth = decltype(width)::value;
    launch(over_pixels("conv_depthwise_forward", s, s.n * s.ho * s.wo * s.co, kWidth), queue,
           forward_kernel<kWidth, T>, s, static_cast<const T*>(x), static_cast<const T*>(weights),
           static_cast<const T*>(bias), static_cast<T*>(y));
  });
}

void data(Queue queue, const ConvShape& s, const void* dy, const void* weights, void* dx) {
  with_pack(channel_width(s.co), s.dtype, [&](auto width, auto t) {
    using T = decltype(t);
    constexpr int kWidth = decltype(width)::value;
    launch(over_pixels("conv_depthwise_data", s, s.n * s.h * s.w * s.ci, kWidth), queue,
           data_kernel<kWidth, T>, s, static_cast<const T*>(dy), static_cast<const T*>(weights),
           static_cast<T*>(dx));
  });
}

void weights_of(Queue queue, const ConvShape& s, const void* dy, const void* x, float* partial,
                float* dweights) {
  const int64_t taps = s.kh * s.kw, slices = depthwise_slices(s);
  with_pack(channel_width(s.co), s.dtype, [&](auto width, auto t) {
    using T = decltype(t);
    constexpr int kWidth = decltype(width)::value;
    const int64_t groups = (s.co + kWidth - 1) / kWidth;
    int lanes = 1;
    while (lanes < groups && lanes < 32) lanes *= 2;
    const dim3 grid(static_cast<unsigned>((groups + lanes - 1) / lanes),
                    static_cast<unsigned>(taps), static_cast<unsigned>(slices));
    launch(
        {.name = "conv_depthwise_weights", .grid = grid, .block = kPackThreads, .cost = s.cost()},
        queue, partial_kernel<kWidth, T>, s, lanes, static_cast<const T*>(dy),
        static_cast<const T*>(x), partial);
  });
  const int64_t count = s.co * taps;
  launch({.name = "conv_depthwise_join",
          .grid = static_cast<unsigned>((count + kPackThreads - 1) / kPackThreads),
          .block = kPackThreads,
          .cost = {.bytes = 4.0 * static_cast<double>(count * (slices + 1)),
                   .ops = static_cast<double>(count * slices)}},
         queue, join_kernel, s.co, taps, slices, static_cast<const float*>(partial), dweights);
}

const Provide<conv_depthwise_forward> provide_forward{forward};
const Provide<conv_depthwise_data> provide_data{data};
const Provide<conv_depthwise_weights> provide_weights{weights_of};

}  // namespace
}  // namespace gliograd::kernels
