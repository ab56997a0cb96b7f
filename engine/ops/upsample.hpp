// Upsampling: an image made larger by a whole factor, channel by channel.
#pragma once
#include <cstdint>

#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

enum class Interpolation : uint8_t { nearest, linear };

struct UpsampleOptions {
  int64_t factor = 2;  // of both axes
  Interpolation interpolation = Interpolation::nearest;
};

/// Pixel centers of y lie at (i + 1/2) / factor - 1/2 of x (no half-pixel shift; PyTorch's
/// align_corners = False): nearest repeats each pixel, linear weighs the four around that point,
/// edges held. Shapes  x [N, H, W, C]; y [N, H * factor, W * factor, C]. nhwc. Grads   x: each
/// pixel gets back, from every output, the share that it gave. Saves   nothing. Paths   f64
/// reference; f32 on the CPU; kernels/upsample.hpp on a GPU. Errors  Error when x is not 4-D or
/// empty, or factor not 1 to 64.
Tensor upsample(Tape& tape, const Tensor& x, const UpsampleOptions& options = {});

}  // namespace gliograd
