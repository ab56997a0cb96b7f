// 2-D convolution (cross-correlation, as all networks use it) over NHWC images.
#pragma once
#include <cstdint>

#include "engine/autograd/tape.hpp"
#include "engine/ops/padding.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

struct ConvOptions {
  int64_t stride = 1;    // pixels between windows, both axes
  Padding pad = {};      // zeros around the image
  int64_t dilation = 1;  // pixels between the taps of a window, both axes
  int64_t groups = 1;    // channels are split into this many independent convolutions;
                         // groups = Cin is a depthwise convolution
};

/// y[n, i, j, o] = bias[o] + sum over r, s, c of
///                 weight[o, r, s, c] * x[n, i * stride - top + r * dilation, j * stride - left +
///                 s * dilation, group(o) * Cin / groups + c], zero outside the image.
/// Shapes  x [N, H, W, Cin]; weight [Cout, kh, kw, Cin / groups]; bias [Cout] or undefined;
///         y [N, Ho, Wo, Cout], Ho = (H + top + bottom - dilation * (kh - 1) - 1) / stride + 1.
/// Grads   x, weight, bias. That of x is skipped where nobody asks for it.
/// Layout  x in either; y is blocked16 where the CPU's algorithm wants that (conv_paths::choose):
///         a chain of 3 x 3 layers is converted once, at its start. Else nhwc.
/// Paths   f64 reference; f32 on the CPU through oneDNN where it was found at build time and the
///         stream allows it (StreamOptions::vendor), else by the project's own kernels.
/// Bits    The own kernels' do not depend on the number of threads; those of oneDNN's weight
///         gradient do (each of n threads sums a share of the pixels).
/// Errors  Error when a rank, a channel count or a type disagrees, when stride, dilation or groups
///         is below 1, a padding negative, any of them beyond 2^30, or the window larger than the
///         padded image.
/// Source  Dumoulin & Visin 2016, arXiv:1603.07285: the arithmetic of shapes and of the transpose.
Tensor conv(Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& bias,
            const ConvOptions& options = {});

}  // namespace gliograd
