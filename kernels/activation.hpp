// The activations that ops can apply on the way out.
#pragma once
#include <cstdint>

namespace gliograd {

enum class Activation : uint8_t {
  none,
  relu,        // max(x, 0); its derivative at 0 is 0
  leaky_relu,  // x for x > 0, else slope * x
};

}  // namespace gliograd
