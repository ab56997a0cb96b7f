#include "engine/tensor/layout.hpp"

#include <algorithm>
#include <atomic>

namespace gliograd {
namespace {

constexpr int64_t kBlock = 16;

std::atomic<int64_t> g_count{0};
std::atomic<int64_t> g_bytes{0};

// Moves x [N, H, W, C] between the two orders; `blocked` holds [N, ceil(C/16), H, W, 16].
template <bool kToBlocked>
void convert(const float* from, float* to, const Shape& shape) {
  const int64_t pixels = shape[1] * shape[2], c = shape[3];
  const int64_t blocks = (c + kBlock - 1) / kBlock;
  for (int64_t n = 0; n < shape[0]; ++n) {
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t width = std::min(kBlock, c - block * kBlock);
      for (int64_t p = 0; p < pixels; ++p) {
        const int64_t plain = (n * pixels + p) * c + block * kBlock;
        const int64_t packed = ((n * blocks + block) * pixels + p) * kBlock;
        for (int64_t i = 0; i < kBlock; ++i) {
          if constexpr (kToBlocked) {
            to[packed + i] = i < width ? from[plain + i] : 0.0f;
          } else if (i < width) {
            to[plain + i] = from[packed + i];
          }
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

Tensor to_layout(const Tensor& x, Layout layout) {
  if (x.layout == layout) return x;
  GG_CHECK(x.rank() == 4 && x.dtype == DType::f32,
           "layout: only f32 [N, H, W, C] tensors are converted; got ", x.dtype, ' ', x.shape);
  const int64_t elements = storage_size(x.shape, layout);
  Tensor y(std::make_shared<Storage>(x.storage()->allocator(), x.device(), elements * 4), x.shape,
           x.dtype, layout);
  y.variable = x.variable;
  if (layout == Layout::blocked16) {
    convert<true>(x.data<float>(), y.data<float>(), x.shape);
  } else {
    convert<false>(x.data<float>(), y.data<float>(), x.shape);
  }
  g_count += 1;
  g_bytes += x.storage()->bytes() + y.storage()->bytes();
  return y;
}

LayoutConversions layout_conversions() { return {g_count.load(), g_bytes.load()}; }

}  // namespace gliograd
