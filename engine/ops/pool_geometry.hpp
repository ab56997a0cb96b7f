// What both poolings share: their checks, and the image tensor as planes that are alike in either
// layout. The numbers of a window stand in kernels/pool.hpp. Only pool_*.cpp include this.
#pragma once
#include <algorithm>
#include <cstdint>

#include "engine/ops/lanes.hpp"
#include "engine/ops/padding.hpp"
#include "engine/tensor/layout.hpp"
#include "engine/tensor/tensor.hpp"
#include "kernels/pool.hpp"

namespace gliograd {

using kernels::PoolGeometry;

/// Checks all that the contract of max_pool promises. `op` begins the messages.
inline PoolGeometry pool_geometry(const char* op, const Tensor& x, int64_t kernel, int64_t stride,
                                  const Padding& pad) {
  GG_CHECK(x.rank() == 4 && x.size() > 0, op, ": x must be [N, H, W, C] and not empty; got ",
           x.shape);
  GG_CHECK(kernel >= 1 && kernel <= 15, op, ": kernel must be 1 to 15; got ", kernel);
  GG_CHECK(stride >= 1, op, ": stride must be at least 1; got ", stride);
  GG_CHECK(std::min({pad.top, pad.bottom, pad.left, pad.right}) >= 0 &&
               std::max({pad.top, pad.bottom, pad.left, pad.right}) < kernel,
           op, ": each side of the padding must be 0 to kernel - 1 = ", kernel - 1, "; got ", pad);
  const int64_t h = x.dim(1) + pad.top + pad.bottom, w = x.dim(2) + pad.left + pad.right;
  GG_CHECK(h >= kernel && w >= kernel, op, ": the window of ", kernel, " is larger than x ",
           x.shape, " with padding ", pad);
  return {
      x.dim(0), x.dim(1), x.dim(2), x.dim(3), (h - kernel) / stride + 1, (w - kernel) / stride + 1,
      kernel,   stride,   pad.top,  pad.left};
}

inline Shape pooled_shape(const PoolGeometry& g) { return {g.n, g.ho, g.wo, g.c}; }

/// The same numbers over memory as it lies: [N * C / 16, H, W, 16] for blocked16.
inline PoolGeometry in_memory(PoolGeometry g, Layout layout) {
  if (layout == Layout::blocked16) {
    g.n *= (g.c + lanes::kLanes - 1) / lanes::kLanes;
    g.c = lanes::kLanes;
  }
  return g;
}

}  // namespace gliograd
