// Average pooling, over windows and over whole images.
#include "kernels/gpu/pool.cuh"
#include "kernels/gpu/reduce.cuh"

namespace gliograd::kernels {
namespace {

// ---- windows ----------------------------------------------------------------------------------

__device__ __forceinline__ float divisor_of(const PoolGeometry& g, int64_t i, int64_t j,
                                            bool count_padding) {
  const int64_t inside = (g.last_row(i) - g.first_row(i)) * (g.last_column(j) - g.first_column(j));
  return static_cast<float>(count_padding ? g.kernel * g.kernel : inside);
}

template <int kSide, int kWidth, class T>
__global__ void __launch_bounds__(kPackThreads)
    average_values_kernel(PoolGeometry g, bool count_padding, const T* x, T* y) {
  for_each_pack<kWidth>(g.n * g.ho * g.wo * g.c, [&](int64_t at, bool) {
    const Pixel out(at, g.ho, g.wo, g.c);
    float sum[kWidth] = {};
    for_each_tap<kSide>(g, out, [&](int, int64_t from) {
      float v[kWidth];
      load_pack(v, x + from);
      GG_UNROLL
      for (int k = 0; k < kWidth; ++k) sum[k] += v[k];
    });
    const float divisor = divisor_of(g, out.row, out.column, count_padding);
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) sum[k] /= divisor;
    store_pack(y + at, sum);
  });
}

template <int kWidth, class T>
__global__ void __launch_bounds__(kPackThreads, 4)
    average_gradients_kernel(PoolGeometry g, bool count_padding, const T* dy, T* dx) {
  for_each_pack<kWidth>(g.n * g.h * g.w * g.c, [&](int64_t at, bool) {
    const Pixel in(at, g.h, g.w, g.c);
    float sum[kWidth] = {};
    for_each_window(g, in, [&](int64_t i, int64_t j, int64_t from) {
      const float divisor = divisor_of(g, i, j, count_padding);
      float d[kWidth];
      load_pack(d, dy + from);
      GG_UNROLL
      for (int k = 0; k < kWidth; ++k) sum[k] += d[k] / divisor;
    });
    store_pack(dx + at, sum);
  });
}

template <class T>
Cost cost_of(const PoolGeometry& g) {
  const double values = static_cast<double>(input_values(g) + output_values(g));
  return {.bytes = values * sizeof(T), .ops = static_cast<double>(input_values(g))};
}

void values(Queue queue, const PoolGeometry& g, DType dtype, bool count_padding, const void* x,
            void* y) {
  if (output_values(g) == 0) return;
  with_window_kernel(g, dtype, [&](auto side, auto width, auto t) {
    using T = decltype(t);
    launch(pool_launch("average_pool", g, output_values(g), cost_of<T>(g)), queue,
           average_values_kernel<decltype(side)::value, decltype(width)::value, T>, g,
           count_padding, static_cast<const T*>(x), static_cast<T*>(y));
  });
}

void gradients(Queue queue, const PoolGeometry& g, DType dtype, bool count_padding, const void* dy,
               void* dx) {
  if (input_values(g) == 0) return;
  with_pack(channel_width(g.c), dtype, [&](auto width, auto t) {
    using T = decltype(t);
    launch(pool_launch("average_pool_gradient", g, input_values(g), cost_of<T>(g)), queue,
           average_gradients_kernel<decltype(width)::value, T>, g, count_padding,
           static_cast<const T*>(dy), static_cast<T*>(dx));
  });
}

// ---- whole images -----------------------------------------------------------------------------

// Block (image, part of the channels): `lanes` threads along the channels, the others down the
// pixels; then the rows of threads are summed.
template <int kWidth, class T>
__global__ void __launch_bounds__(kPackThreads)
    global_values_kernel(int64_t pixels, int64_t c, int lanes, const T* x, T* y) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int level = static_cast<int>(threadIdx.x) / lanes, depth = kPackThreads / lanes;
  const int64_t channel = (static_cast<int64_t>(blockIdx.y) * lanes + lane) * kWidth;
  const int64_t image = blockIdx.x;
  float sum[kWidth] = {};
  if (channel < c) {
    for (int64_t p = level; p < pixels; p += depth) {
      float v[kWidth];
      load_pack(v, x + (image * pixels + p) * c + channel);
      GG_UNROLL
      for (int k = 0; k < kWidth; ++k) sum[k] += v[k];
    }
  }
  sum_rows<kPackThreads>(sum, lanes);
  if (level != 0 || channel >= c) return;
  GG_UNROLL
  for (int k = 0; k < kWidth; ++k) sum[k] /= static_cast<float>(pixels);
  store_pack(y + image * c + channel, sum);
}

template <int kWidth, class T>
__global__ void __launch_bounds__(kPackThreads)
    global_gradients_kernel(int64_t n, int64_t pixels, int64_t c, const T* dy, T* dx) {
  for_each_pack<kWidth>(n * pixels * c, [&](int64_t at, bool) {
    float d[kWidth];
    load_pack(d, dy + at / (pixels * c) * c + at % c);
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) d[k] /= static_cast<float>(pixels);
    store_pack(dx + at, d);
  });
}

// An image as one column of pixels, and one window over it.
PoolGeometry column_of(int64_t n, int64_t pixels, int64_t c) {
  return {n, pixels, 1, c, 1, 1, pixels, pixels, 0, 0};
}

void global_values(Queue queue, DType dtype, int64_t n, int64_t pixels, int64_t c, const void* x,
                   void* y) {
  const PoolGeometry g = column_of(n, pixels, c);
  const int64_t groups = c / channel_width(g.c);
  int lanes = 1;
  while (lanes < groups && lanes < 32) lanes *= 2;
  with_pack(channel_width(g.c), dtype, [&](auto width, auto t) {
    using T = decltype(t);
    const Launch shape{
        .name = "global_average_pool",
        .grid = dim3(static_cast<unsigned>(n), static_cast<unsigned>((groups + lanes - 1) / lanes)),
        .block = kPackThreads,
        .cost = cost_of<T>(g)};
    launch(shape, queue, global_values_kernel<decltype(width)::value, T>, pixels, c, lanes,
           static_cast<const T*>(x), static_cast<T*>(y));
  });
}

void global_gradients(Queue queue, DType dtype, int64_t n, int64_t pixels, int64_t c,
                      const void* dy, void* dx) {
  const PoolGeometry g = column_of(n, pixels, c);
  with_pack(channel_width(g.c), dtype, [&](auto width, auto t) {
    using T = decltype(t);
    launch(pool_launch("global_average_pool_gradient", g, n * pixels * c, cost_of<T>(g)), queue,
           global_gradients_kernel<decltype(width)::value, T>, n, pixels, c,
           static_cast<const T*>(dy), static_cast<T*>(dx));
  });
}

const Provide<average_pool_values> provide_values{values};
const Provide<average_pool_gradients> provide_gradients{gradients};
const Provide<global_average_values> provide_global_values{global_values};
const Provide<global_average_gradients> provide_global_gradients{global_gradients};

}  // namespace
}  // namespace gliograd::kernels
