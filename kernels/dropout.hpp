// Dropout on a GPU: the draws of kernels/philox.hpp, so that both devices drop the same elements.
#pragma once
#include "kernels/entry.hpp"
#include "kernels/philox.hpp"
#include "kernels/step_state.hpp"

namespace gliograd::kernels {

struct DropoutShape {
  int64_t samples = 0;   // draw `state->draw + i` for sample i
  int64_t elements = 0;  // of a sample
  uint32_t layer = 0;
  uint32_t threshold = 0;  // kept where word >> 9 is at least this
  float scale = 1;         // of what is kept
};

/// y = x * scale where kept, else 0; kept: 1 or 0. All 16-byte aligned. Passes: reads x, writes y
/// and a byte an element.
inline const Entry<void(Queue, const DropoutShape&, PhiloxKey, const StepState*, DType,
                        const void* x, uint8_t* kept, void* y)>
    dropout_values{"dropout_values"};
/// dx = dy * scale where kept, else 0, for i < n. dx may be dy. Aligned alike.
inline const Entry<void(Queue, DType, int64_t n, float scale, const void* dy, const uint8_t* kept,
                        void* dx)>
    dropout_gradients{"dropout_gradients"};

}  // namespace gliograd::kernels
