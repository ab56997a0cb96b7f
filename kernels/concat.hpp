// Tensors side by side along their channels on a GPU, and apart again: one launch for all of them,
// up to kMost. Passes: each value is read and written once.
#pragma once
#include "kernels/entry.hpp"

namespace gliograd::kernels {

/// Tensors of the same rows, in the order of their channels.
struct ConcatParts {
  static constexpr int kMost = 16;
  struct Part {
    void* data = nullptr;  // [rows, width]; null: left out
    int64_t width = 0;
  };
  Part part[kMost];
  int32_t count = 0;
};

/// Copies each part's rows into the rows of `whole`, side by side from its first channel on; or
/// back from there, where `split`. A row of `whole` has `channels`, of which the parts may be
/// fewer. Elements of 2 or 4 bytes; bits are moved, not values. 16 bytes an access where every
/// width and pointer allows it.
inline const Entry<void(Queue, const ConcatParts&, int64_t rows, int64_t element_bytes, void* whole,
                        int64_t channels, bool split)>
    concat_channels{"concat_channels"};

}  // namespace gliograd::kernels
