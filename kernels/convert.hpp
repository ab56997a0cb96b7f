// Values from one element type to another, and sums of them, on a GPU.
#pragma once
#include "kernels/entry.hpp"

namespace gliograd::kernels {

/// to[i] = from[i], or to[i] += from[i], for i < n; f32, bf16 and f16 in any pair. Sums are made in
/// f32 and rounded once. Both 16-byte aligned; they may be the same memory where the types are.
inline const Entry<void(Queue, DType to_type, void* to, DType from_type, const void* from,
                        int64_t n, bool add)>
    convert_values{"convert_values"};

/// Many tensors at once: what a step would otherwise do in a launch each.
struct ConvertItems {
  static constexpr int kMost = 96;  // a kernel's arguments have 4 KiB
  struct Item {
    float* to;
    const void* from;
    int64_t count;
    int32_t first_block;  // the kernel's own
    DType from_type;
    bool add;
  };
  Item item[kMost];
  int32_t count = 0;
};
/// For each item, to[i] = from[i] or to[i] += from[i]. All 16-byte aligned; no item's `to` overlaps
/// another's memory.
inline const Entry<void(Queue, const ConvertItems&)> convert_many{"convert_many"};

}  // namespace gliograd::kernels
