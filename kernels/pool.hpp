// Pooling: the numbers of a window sliding over an image, alike on both devices, and the launches
// on a GPU. There tensors are NHWC in f32, bf16 or f16, 16-byte aligned; arithmetic is f32.
//
// Passes over memory: forward reads x once and writes y (and the taps); backward reads dy (and the
// taps) and writes dx, each pixel by one thread, which adds up over the windows that hold it in
// their order: nothing is cleared first, nothing is added atomically, and the bits are those of the
// CPU's order. In max pooling by the usual windows (2x2 and 3x3, stride 2) a thread writes all the
// pixels between the corners of neighboring windows. What overlapping windows, or the pixels of one
// window, read again comes from the caches.
#pragma once
#include "kernels/entry.hpp"
#include "kernels/portable.hpp"

namespace gliograd::kernels {

struct PoolGeometry {
  int64_t n, h, w, c;  // x; for blocked16 memory n counts blocks of channels and c is 16
  int64_t ho, wo;      // y
  int64_t kernel, stride, top, left;

  /// Rows [first, last) of the image that window i of an axis meets.
  GG_HD int64_t first_row(int64_t i) const { return least(0, i * stride - top); }
  GG_HD int64_t last_row(int64_t i) const { return most(h, i * stride - top + kernel); }
  GG_HD int64_t first_column(int64_t j) const { return least(0, j * stride - left); }
  GG_HD int64_t last_column(int64_t j) const { return most(w, j * stride - left + kernel); }

  /// Windows [first, last) of an axis that hold a row or a column; none where the stride leaves it
  /// out.
  GG_HD int64_t first_over_row(int64_t row) const { return first_over(row + top); }
  GG_HD int64_t last_over_row(int64_t row) const { return most(ho, (row + top) / stride + 1); }
  GG_HD int64_t first_over_column(int64_t column) const { return first_over(column + left); }
  GG_HD int64_t last_over_column(int64_t column) const {
    return most(wo, (column + left) / stride + 1);
  }

 private:
  GG_HD static int64_t least(int64_t bound, int64_t v) { return v < bound ? bound : v; }
  GG_HD static int64_t most(int64_t bound, int64_t v) { return v < bound ? v : bound; }
  // The window after the last that ends at or before `at`: i * stride + kernel <= at.
  GG_HD int64_t first_over(int64_t at) const {
    return at < kernel ? 0 : (at - kernel) / stride + 1;
  }
};

/// y = the largest value of each window, the last NaN winning over all; tap: r * kernel + s of the
/// pixel that it was, the first of equal ones.
inline const Entry<void(Queue, const PoolGeometry&, DType, const void* x, void* y, uint8_t* tap)>
    max_pool_values{"max_pool_values"};
/// dx = the sum of dy over the windows whose tap a pixel was.
inline const Entry<void(Queue, const PoolGeometry&, DType, const void* dy, const uint8_t* tap,
                        void* dx)>
    max_pool_gradients{"max_pool_gradients"};

/// y = the mean of each window: over kernel^2 values, those of the padding being 0, or over the
/// pixels of the image in it.
inline const Entry<void(Queue, const PoolGeometry&, DType, bool count_padding, const void* x,
                        void* y)>
    average_pool_values{"average_pool_values"};
/// dx = the sum of dy over the windows that hold a pixel, each over its divisor.
inline const Entry<void(Queue, const PoolGeometry&, DType, bool count_padding, const void* dy,
                        void* dx)>
    average_pool_gradients{"average_pool_gradients"};

/// y [n, c] = the mean of x [n, pixels, c] over the pixels. A block sums some channels of an image
/// in a fixed order.
inline const Entry<void(Queue, DType, int64_t n, int64_t pixels, int64_t c, const void* x, void* y)>
    global_average_values{"global_average_values"};
/// dx [n, pixels, c] = dy [n, c] / pixels.
inline const Entry<void(Queue, DType, int64_t n, int64_t pixels, int64_t c, const void* dy,
                        void* dx)>
    global_average_gradients{"global_average_gradients"};

}  // namespace gliograd::kernels
