// Max pooling.
#include <cmath>

#include "kernels/gpu/pool.cuh"

namespace gliograd::kernels {
namespace {

template <int kSide, int kWidth, class T>
__global__ void __launch_bounds__(kPackThreads)
    max_values_kernel(PoolGeometry g, const T* x, T* y, uint8_t* tap) {
  for_each_pack<kWidth>(g.n * g.ho * g.wo * g.c, [&](int64_t at, bool) {
    const Pixel out(at, g.ho, g.wo, g.c);
    // Until something is larger than -infinity, the window's first pixel in the image has won.
    const int64_t r = g.first_row(out.row) - (out.row * g.stride - g.top);
    const int64_t s = g.first_column(out.column) - (out.column * g.stride - g.left);
    float best[kWidth];
    uint8_t won[kWidth];
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      best[k] = -INFINITY;
      won[k] = static_cast<uint8_t>(r * g.kernel + s);
    }
    for_each_tap<kSide>(g, out, [&](int here, int64_t from) {
      float v[kWidth];
      load_pack(v, x + from);
      GG_UNROLL
      for (int k = 0; k < kWidth; ++k) {
        const bool wins = v[k] > best[k] || v[k] != v[k];  // NaN
        best[k] = wins ? v[k] : best[k];
        won[k] = wins ? static_cast<uint8_t>(here) : won[k];
      }
    });
    store_pack(y + at, best);
    store_bytes(tap + at, won);
  });
}

template <int kWidth, class T>
__global__ void __launch_bounds__(kPackThreads)
    max_gradients_kernel(PoolGeometry g, const T* dy, const uint8_t* tap, T* dx) {
  for_each_pack<kWidth>(g.n * g.h * g.w * g.c, [&](int64_t at, bool) {
    const Pixel in(at, g.h, g.w, g.c);
    float sum[kWidth] = {};
    for_each_window(g, in, [&](int64_t i, int64_t j, int64_t from) {
      const int64_t here =
          (in.row + g.top - i * g.stride) * g.kernel + in.column + g.left - j * g.stride;
      float d[kWidth];
      uint8_t won[kWidth];
      load_pack(d, dy + from);
      load_bytes(won, tap + from);
      GG_UNROLL
      for (int k = 0; k < kWidth; ++k) sum[k] += won[k] == here ? d[k] : 0.0f;
    });
    store_pack(dx + at, sum);
  });
}

// Both passes move both tensors and the taps once.
template <class T>
Cost cost_of(const PoolGeometry& g) {
  const auto in = static_cast<double>(input_values(g)), out = static_cast<double>(output_values(g));
  return {.bytes = (in + out) * sizeof(T) + out,
          .ops = out * static_cast<double>(g.kernel * g.kernel)};
}

void max_values(Queue queue, const PoolGeometry& g, DType dtype, const void* x, void* y,
                uint8_t* tap) {
  if (output_values(g) == 0) return;
  with_window_kernel(g, dtype, [&](auto side, auto width, auto t) {
    using T = decltype(t);
    launch(pool_launch("max_pool", g, output_values(g), cost_of<T>(g)), queue,
           max_values_kernel<decltype(side)::value, decltype(width)::value, T>, g,
           static_cast<const T*>(x), static_cast<T*>(y), tap);
  });
}

void max_gradients(Queue queue, const PoolGeometry& g, DType dtype, const void* dy,
                   const uint8_t* tap, void* dx) {
  if (input_values(g) == 0) return;
  with_pool_kernel(g, dtype, [&](auto width, auto t) {
    using T = decltype(t);
    launch(pool_launch("max_pool_gradient", g, input_values(g), cost_of<T>(g)), queue,
           max_gradients_kernel<decltype(width)::value, T>, g, static_cast<const T*>(dy), tap,
           static_cast<T*>(dx));
  });
}

const Provide<max_pool_values> provide_max_values{max_values};
const Provide<max_pool_gradients> provide_max_gradients{max_gradients};

}  // namespace
}  // namespace gliograd::kernels
