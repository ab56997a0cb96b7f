// A thread serves one pixel of the tensor that it writes, and of that 8 channels, or one where 8 do
// not divide C.
#include "kernels/gpu/pool.cuh"  // Pixel
#include "kernels/upsample.hpp"

namespace gliograd::kernels {
namespace {

// y = x where a pixel is repeated: no arithmetic, one read a pixel. Else four reads, of which
// neighbors in a warp share the lines.
template <int kWidth, bool kLinear, class T>
__global__ void __launch_bounds__(kPackThreads)
    values_kernel(UpsampleGeometry g, const T* x, T* y) {
  for_each_pack<kWidth>(g.n * g.ho() * g.wo() * g.c, [&](int64_t at, bool) {
    const Pixel out(at, g.ho(), g.wo(), g.c);
    const UpsampleTaps row = g.taps(out.row, g.h), column = g.taps(out.column, g.w);
    const auto load = [&](float(&v)[kWidth], int64_t r, int64_t s) {
      load_pack(v, x + ((out.n * g.h + r) * g.w + s) * g.c + out.channel);
    };
    float v[kWidth];
    load(v, row.low, column.low);
    if constexpr (kLinear) {
      float b[kWidth], c[kWidth], d[kWidth];
      load(b, row.low, column.high);
      load(c, row.high, column.low);
      load(d, row.high, column.high);
      GG_UNROLL
      for (int k = 0; k < kWidth; ++k) {
        const float top = (1 - column.share) * v[k] + column.share * b[k];
        const float bottom = (1 - column.share) * c[k] + column.share * d[k];
        v[k] = (1 - row.share) * top + row.share * bottom;
      }
    }
    store_pack(y + at, v);
  });
}

template <int kWidth, class T>
__global__ void __launch_bounds__(kPackThreads)
    gradients_kernel(UpsampleGeometry g, const T* dy, T* dx) {
  for_each_pack<kWidth>(g.n * g.h * g.w * g.c, [&](int64_t at, bool) {
    const Pixel in(at, g.h, g.w, g.c);
    float sum[kWidth] = {};
    for (int64_t i = g.first(in.row); i < g.last(in.row, g.h); ++i) {
      const float down = g.share(in.row, i, g.h);
      for (int64_t j = g.first(in.column); j < g.last(in.column, g.w); ++j) {
        const float share = down * g.share(in.column, j, g.w);
        float d[kWidth];
        load_pack(d, dy + ((in.n * g.ho() + i) * g.wo() + j) * g.c + in.channel);
        GG_UNROLL
        for (int k = 0; k < kWidth; ++k) sum[k] += share * d[k];
      }
    }
    store_pack(dx + at, sum);
  });
}

int64_t input_values(const UpsampleGeometry& g) { return g.n * g.h * g.w * g.c; }
int64_t output_values(const UpsampleGeometry& g) { return input_values(g) * g.factor * g.factor; }

template <class T>
Launch launch_of(const char* name, const UpsampleGeometry& g, int64_t written, int width) {
  const auto in = static_cast<double>(input_values(g)), out = static_cast<double>(output_values(g));
  return {.name = name,
          .grid = blocks_of_packs(written, width),
          .block = kPackThreads,
          .cost = {.bytes = (in + out) * sizeof(T), .ops = g.linear ? 8 * out : 0}};
}

void values(Queue queue, const UpsampleGeometry& g, DType dtype, const void* x, void* y) {
  if (input_values(g) == 0) return;
  with_pack(channel_width(g.c), dtype, [&](auto width, auto t) {
    using T = decltype(t);
    constexpr int kWidth = decltype(width)::value;
    launch(launch_of<T>("upsample", g, output_values(g), kWidth), queue,
           g.linear ? values_kernel<kWidth, true, T> : values_kernel<kWidth, false, T>, g,
           static_cast<const T*>(x), static_cast<T*>(y));
  });
}

void gradients(Queue queue, const UpsampleGeometry& g, DType dtype, const void* dy, void* dx) {
  if (input_values(g) == 0) return;
  with_pack(channel_width(g.c), dtype, [&](auto width, auto t) {
    using T = decltype(t);
    constexpr int kWidth = decltype(width)::value;
    launch(launch_of<T>("upsample_gradient", g, input_values(g), kWidth), queue,
           gradients_kernel<kWidth, T>, g, static_cast<const T*>(dy), static_cast<T*>(dx));
  });
}

const Provide<upsample_values> provide_values{values};
const Provide<upsample_gradients> provide_gradients{gradients};

}  // namespace
}  // namespace gliograd::kernels
