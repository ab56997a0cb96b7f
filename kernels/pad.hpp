// Rows of channels made wider with zeros, or cut short, on a GPU.
#pragma once
#include "kernels/entry.hpp"

namespace gliograd::kernels {

/// y[row, c] = x[row, c] where both have that channel, else 0. f32, bf16 or f16. For small tensors
/// (weights): one value a thread.
inline const Entry<void(Queue, DType, int64_t rows, int64_t from_channels, const void* x,
                        int64_t to_channels, void* y)>
    copy_channels{"copy_channels"};

}  // namespace gliograd::kernels
