// Max pooling.
#include <cmath>

#include "kernels/gpu/pool.cuh"

namespace gliograd::kernels {
namespace {

constexpr uint8_t kNoTap = 255;  // the usual windows have fewer

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

// dx by pixels: any window, one thread a pixel, which loads from the windows that hold it in turn.
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

// dx by tiles of kStride x kStride pixels, where the window is one of the usual. Tile (a, b) begins
// where window (a, b) does, so windows (a - q, b - p) alone reach into it, q and p below kReach:
// the thread loads all of them at once, and finds where it stands once for all its pixels, by three
// divisions in 32 bits. By pixels, eight in 64 bits stand before every 16 bytes that are written.
struct Tiles {
  uint32_t rows, columns, groups;  // tiles of an image; packs of channels
  uint32_t count;                  // of an image's tiles times groups, times n
};

template <int kSide, int kStride, int kWidth, class T>
__global__ void __launch_bounds__(kPackThreads)
    max_tiles_kernel(PoolGeometry g, Tiles tiles, const T* dy, const uint8_t* tap, T* dx) {
  constexpr int kReach = (kSide + kStride - 1) / kStride;
  const uint32_t step = gridDim.x * kPackThreads;
  for (uint32_t at = blockIdx.x * kPackThreads + threadIdx.x; at < tiles.count; at += step) {
    const uint32_t tile = at / tiles.groups, channel = (at - tile * tiles.groups) * kWidth;
    const uint32_t tile_row = tile / tiles.columns;
    const int b = static_cast<int>(tile - tile_row * tiles.columns);
    const uint32_t image = tile_row / tiles.rows;
    const int a = static_cast<int>(tile_row - image * tiles.rows);

    float d[kReach][kReach][kWidth] = {};
    uint8_t won[kReach][kReach][kWidth];
    const int64_t window = ((static_cast<int64_t>(image) * g.ho + a) * g.wo + b) * g.c + channel;
    GG_UNROLL
    for (int q = 0; q < kReach; ++q) {
      GG_UNROLL
      for (int p = 0; p < kReach; ++p) {
        if (a >= q && a - q < g.ho && b >= p && b - p < g.wo) {
          const int64_t from = window - (q * g.wo + p) * g.c;
          load_pack(d[q][p], dy + from);
          load_bytes(won[q][p], tap + from);
        } else {
          GG_UNROLL
          for (int k = 0; k < kWidth; ++k) won[q][p][k] = kNoTap;
        }
      }
    }
    const int top = a * kStride - static_cast<int>(g.top);
    const int left = b * kStride - static_cast<int>(g.left);
    T* corner = dx + ((static_cast<int64_t>(image) * g.h + top) * g.w + left) * g.c + channel;
    GG_UNROLL
    for (int r = 0; r < kStride; ++r) {
      GG_UNROLL
      for (int s = 0; s < kStride; ++s) {
        if (top + r < 0 || top + r >= g.h || left + s < 0 || left + s >= g.w) continue;
        float sum[kWidth] = {};
        GG_UNROLL
        for (int q = kReach - 1; q >= 0; --q) {  // windows in their order, as on the CPU
          GG_UNROLL
          for (int p = kReach - 1; p >= 0; --p) {
            const int row = q * kStride + r, column = p * kStride + s;  // in the window
            if (row >= kSide || column >= kSide) continue;
            GG_UNROLL
            for (int k = 0; k < kWidth; ++k) {
              sum[k] += won[q][p][k] == row * kSide + column ? d[q][p][k] : 0.0f;
            }
          }
        }
        store_pack(corner + (r * g.w + s) * g.c, sum);
      }
    }
  }
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

// Whether it was one of the windows that the tiles are made for.
template <int kSide, int kStride>
bool tile_gradients(Queue queue, const PoolGeometry& g, DType dtype, const void* dy,
                    const uint8_t* tap, void* dx) {
  if (g.kernel != kSide || g.stride != kStride) return false;
  const int64_t rows = (g.h + g.top + kStride - 1) / kStride;
  const int64_t columns = (g.w + g.left + kStride - 1) / kStride;
  const int64_t groups = g.c / channel_width(g.c), count = g.n * rows * columns * groups;
  if (count > INT32_MAX) return false;  // an index and a grid's step together have 32 bits
  const Tiles tiles{static_cast<uint32_t>(rows), static_cast<uint32_t>(columns),
                    static_cast<uint32_t>(groups), static_cast<uint32_t>(count)};
  with_pack(channel_width(g.c), dtype, [&](auto width, auto t) {
    using T = decltype(t);
    launch({.name = "max_pool_gradient",
            .grid = blocks_of_packs(count, 1),
            .block = kPackThreads,
            .cost = cost_of<T>(g)},
           queue, max_tiles_kernel<kSide, kStride, decltype(width)::value, T>, g, tiles,
           static_cast<const T*>(dy), tap, static_cast<T*>(dx));
  });
  return true;
}

void max_gradients(Queue queue, const PoolGeometry& g, DType dtype, const void* dy,
                   const uint8_t* tap, void* dx) {
  if (input_values(g) == 0) return;
  if (tile_gradients<2, 2>(queue, g, dtype, dy, tap, dx)) return;
  if (tile_gradients<3, 2>(queue, g, dtype, dy, tap, dx)) return;
  with_pack(channel_width(g.c), dtype, [&](auto width, auto t) {
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
