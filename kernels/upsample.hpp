// Upsampling by a whole factor: which pixels an output pixel lies between, alike on both devices,
// and the launches on a GPU. There tensors are NHWC in f32, bf16 or f16, 16-byte aligned;
// arithmetic is f32.
//
// Passes over memory: forward reads x (each pixel again from the caches) and writes y once;
// backward reads dy and writes dx once, each pixel by one thread, which adds up over the output
// pixels that it lent to, in their order: nothing is cleared first, nothing is added atomically.
#pragma once
#include "kernels/entry.hpp"
#include "kernels/portable.hpp"

namespace gliograd::kernels {

/// The pixels of an axis that make one of the output: (1 - share) * low + share * high.
struct UpsampleTaps {
  int64_t low, high;
  float share;
};

struct UpsampleGeometry {
  int64_t n, h, w, c;  // x
  int64_t factor;
  bool linear;  // else the nearest pixel

  GG_HD int64_t ho() const { return h * factor; }
  GG_HD int64_t wo() const { return w * factor; }

  /// Of output index i on an axis of `size` pixels. Output centers lie at (i + 1/2) / factor - 1/2,
  /// which is (2 i + 1 - factor) / (2 factor): in whole numbers, so that the share is exact to one
  /// rounding at any size.
  GG_HD UpsampleTaps taps(int64_t i, int64_t size) const {
    if (!linear) return {i / factor, i / factor, 0};
    const int64_t at = 2 * i + 1 - factor, unit = 2 * factor;
    if (at <= 0) return {0, 0, 0};
    const int64_t low = at / unit;
    if (low + 1 >= size) return {size - 1, size - 1, 0};
    return {low, low + 1, static_cast<float>(at % unit) / static_cast<float>(unit)};
  }
  /// What pixel p of an axis gives to output index i.
  GG_HD float share(int64_t p, int64_t i, int64_t size) const {
    const UpsampleTaps t = taps(i, size);
    return (t.low == p ? 1 - t.share : 0) + (t.high == p ? t.share : 0);
  }
  /// Outputs [first, last) of an axis that pixel p may give to.
  GG_HD int64_t first(int64_t p) const {
    if (!linear) return p * factor;
    return p == 0 ? 0 : factor * (p - 1) + (factor + 1) / 2;
  }
  GG_HD int64_t last(int64_t p, int64_t size) const {
    if (!linear) return (p + 1) * factor;
    const int64_t end = factor * (p + 1) + factor / 2;
    return end < size * factor ? end : size * factor;
  }
};

/// y [n, h * factor, w * factor, c] from x [n, h, w, c].
inline const Entry<void(Queue, const UpsampleGeometry&, DType, const void* x, void* y)>
    upsample_values{"upsample_values"};
/// dx from dy.
inline const Entry<void(Queue, const UpsampleGeometry&, DType, const void* dy, void* dx)>
    upsample_gradients{"upsample_gradients"};

}  // namespace gliograd::kernels
