// The one place that converts between physical layouts, and counts how often it had to.
#pragma once
#include <cstdint>

#include "engine/tensor/tensor.hpp"

namespace gliograd {

/// Elements that memory of this shape holds in this layout (blocked16 pads C to a multiple of 16).
int64_t storage_size(const Shape& shape, Layout layout);

/// Whether both put an image's elements in the same places (16 channels are one block).
bool same_order(const Shape& shape, Layout a, Layout b);

/// `x` in the other layout; the same memory where that is the same order. Keeps its place on the
/// tape. f32 only; 4-D only.
Tensor to_layout(const Tensor& x, Layout layout, int threads = 1);

/// Conversions made by this process so far, and their bytes read and written.
struct LayoutConversions {
  int64_t count = 0;
  int64_t bytes = 0;
};
LayoutConversions layout_conversions();

}  // namespace gliograd
