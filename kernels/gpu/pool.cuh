// What the pooling kernels share: a thread serves one pixel of the tensor that it writes, and of
// that 8 channels, or one where 8 do not divide C.
#pragma once
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"
#include "kernels/pool.hpp"

namespace gliograd::kernels {

/// Where element `at` of an NHWC tensor of height `h` and width `w` stands.
struct Pixel {
  int64_t n, row, column, channel;
  __device__ Pixel(int64_t at, int64_t h, int64_t w, int64_t c) : channel(at % c) {
    const int64_t pixel = at / c;
    column = pixel % w;
    row = pixel / w % h;
    n = pixel / (w * h);
  }
};

/// Calls body(tap, offset in x) for the pixels of the image in the window of `out`, in row order.
/// kSide is the window's side where it is known, so that all loads go out together; else 0.
template <int kSide, class Body>
__device__ __forceinline__ void for_each_tap(const PoolGeometry& g, const Pixel& out,
                                             const Body& body) {
  const int64_t top = out.row * g.stride - g.top, left = out.column * g.stride - g.left;
  const int side = kSide > 0 ? kSide : static_cast<int>(g.kernel);
  GG_UNROLL
  for (int r = 0; r < side; ++r) {
    GG_UNROLL
    for (int s = 0; s < side; ++s) {
      const int64_t row = top + r, column = left + s;
      if (row < 0 || row >= g.h || column < 0 || column >= g.w) continue;
      body(r * side + s, ((out.n * g.h + row) * g.w + column) * g.c + out.channel);
    }
  }
}

/// Calls body(i, j, offset in y) for the windows that hold the pixel, in row order.
template <class Body>
__device__ __forceinline__ void for_each_window(const PoolGeometry& g, const Pixel& in,
                                                const Body& body) {
  for (int64_t i = g.first_over_row(in.row); i < g.last_over_row(in.row); ++i) {
    for (int64_t j = g.first_over_column(in.column); j < g.last_over_column(in.column); ++j) {
      body(i, j, ((in.n * g.ho + i) * g.wo + j) * g.c + in.channel);
    }
  }
}

inline int64_t input_values(const PoolGeometry& g) { return g.n * g.h * g.w * g.c; }
inline int64_t output_values(const PoolGeometry& g) { return g.n * g.ho * g.wo * g.c; }

/// with_pack() with the window's side, where it is known, in front: body(side, width, type).
template <class Body>
void with_window_kernel(const PoolGeometry& g, DType dtype, const Body& body) {
  with_pack(channel_width(g.c), dtype, [&](auto width, auto t) {
    switch (g.kernel) {
      case 2: body(std::integral_constant<int, 2>{}, width, t); return;
      case 3: body(std::integral_constant<int, 3>{}, width, t); return;
      default: body(std::integral_constant<int, 0>{}, width, t);
    }
  });
}

/// A launch that writes `values` elements.
inline Launch pool_launch(const char* name, const PoolGeometry& g, int64_t values, Cost cost) {
  return {.name = name,
          .grid = blocks_of_packs(values, channel_width(g.c)),
          .block = kPackThreads,
          .cost = cost};
}

}  // namespace gliograd::kernels
