// Values from one element type to another, and sums of them, on a GPU.
#pragma once
#include "kernels/entry.hpp"

namespace gliograd::kernels {

/// to[i] = from[i], or to[i] += from[i], for i < n; f32, bf16 and f16 in any pair. Sums are made in
/// f32 and rounded once. Both 16-byte aligned; they may be the same memory where the types are.
inline const Entry<void(Queue, DType to_type, void* to, DType from_type, const void* from,
                        int64_t n, bool add)>
    convert_values{"convert_values"};

}  // namespace gliograd::kernels
