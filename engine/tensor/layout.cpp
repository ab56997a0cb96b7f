#include "engine/tensor/layout.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "engine/core/parallel.hpp"

namespace gliograd {
namespace {

constexpr int64_t kBlock = 16;

std::atomic<int64_t> g_count{0};
std::atomic<int64_t> g_bytes{0};

// Moves x [N, H, W, C] between the two orders; `blocked` holds [N, ceil(C/16), H, W, 16]. A pixel's
// channels are read or written in one piece, its blocks as so many streams of 64-byte lines.
template <bool kToBlocked>
void convert(const float* from, float* to, const Shape& shape, int64_t begin, int64_t end) {
  const int64_t pixels = shape[1] * shape[2], c = shape[3];
  const int64_t blocks = (c + kBlock - 1) / kBlock;
  for (int64_t n = begin; n < end; ++n) {
    for (int64_t p = 0; p < pixels; ++p) {
      const int64_t plain = (n * pixels + p) * c, packed = (n * blocks * pixels + p) * kBlock;
      for (int64_t b = 0; b < c / kBlock; ++b) {
        const int64_t line = packed + b * pixels * kBlock;
        if constexpr (kToBlocked) {
          std::memcpy(to + line, from + plain + b * kBlock, kBlock * sizeof(float));
        } else {
          std::memcpy(to + plain + b * kBlock, from + line, kBlock * sizeof(float));
        }
      }
      const int64_t width = c % kBlock, rest = c - width;
      if (width == 0) continue;
      const int64_t line = packed + rest * pixels;
      for (int64_t i = 0; i < kBlock; ++i) {
        if constexpr (kToBlocked) {
          to[line + i] = i < width ? from[plain + rest + i] : 0.0f;
        } else if (i < width) {
          to[plain + rest + i] = from[line + i];
        }
      }
    }
  }
}

}  // namespace

int64_t storage_size(const Shape& shape, Layout layout) {
  if (layout == Layout::nhwc) return shape.size();
  GG_CHECK(shape.rank() == 4, "layout: blocked16 is for [N, H, W, C]; got ", shape);
  return shape.with(3, (shape[3] + kBlock - 1) / kBlock * kBlock).size();
}

bool same_order(const Shape& shape, Layout a, Layout b) {
  return a == b || (shape.rank() == 4 && shape[3] == kBlock);
}

Tensor to_layout(const Tensor& x, Layout layout, int threads) {
  if (x.layout == layout) return x;
  GG_CHECK(x.device() == Device::cpu, "layout: on a GPU all tensors are nhwc");
  GG_CHECK(x.rank() == 4 && x.dtype == DType::f32,
           "layout: only f32 [N, H, W, C] tensors are converted; got ", x.dtype, ' ', x.shape);
  if (same_order(x.shape, x.layout, layout)) {
    Tensor y = x;
    y.layout = layout;
    return y;
  }
  Tensor y = empty_like(x, x.shape, x.dtype, layout);
  y.variable = x.variable;
  y.tape = x.tape;
  parallel_for(threads, x.dim(0), 1, [&](int64_t begin, int64_t end) {
    if (layout == Layout::blocked16) {
      convert<true>(x.data<float>(), y.data<float>(), x.shape, begin, end);
    } else {
      convert<false>(x.data<float>(), y.data<float>(), x.shape, begin, end);
    }
  });
  g_count += 1;
  g_bytes += x.storage()->bytes() + y.storage()->bytes();
  return y;
}

LayoutConversions layout_conversions() { return {g_count.load(), g_bytes.load()}; }

}  // namespace gliograd
