// What the paths of a convolution share: its numbers, and the calls that conv.cpp chooses between.
// Only conv*.cpp, their tests and their bench include this.
#pragma once
#include <cstdint>
#include <string>

#include "engine/ops/conv.hpp"

namespace gliograd::conv_paths {

/// A convolution in numbers. Input pixel of output (i, j) and tap (r, s):
/// (i * stride - top + r * dilation, j * stride - left + s * dilation).
struct Geometry {
  int64_t n, h, w, ci;  // x
  int64_t co, kh, kw;   // weight; cg channels of x each
  int64_t ho, wo;       // y
  int64_t stride, dilation, groups;
  Padding pad;

  int64_t cg() const { return ci / groups; }
  int64_t og() const { return co / groups; }
  int64_t taps() const { return kh * kw; }
  bool depthwise() const { return groups > 1 && groups == ci && ci == co; }
  /// Multiplications and additions of the forward pass.
  double ops() const { return 2.0 * n * ho * wo * co * taps() * cg(); }
  bool operator==(const Geometry&) const = default;
};

/// What computes a pass on the CPU.
enum class Algorithm : uint8_t {
  own,             // the project's kernels on NHWC images: conv_own.cpp, conv_depthwise.cpp
  direct,          // oneDNN on NHWC images
  direct_blocked,  // oneDNN on blocked images
  winograd,        // oneDNN's F(4 x 4, 3 x 3) on blocked images
};
enum class Pass : uint8_t { forward, data, weights };

/// Checks all that the contract of conv() promises.
Geometry geometry_of(const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const ConvOptions& options);

constexpr Layout layout_of(Algorithm algorithm) {
  return algorithm <= Algorithm::direct ? Layout::nhwc : Layout::blocked16;
}

struct Choice {
  Algorithm forward, data, weights;
};
/// The fixed table: by pass, shape, type, instruction set and the layout that x comes in; no
/// timing. In bf16 all is nhwc.
Choice choose(const Stream& stream, const Geometry& g, DType dtype, Layout x);

/// On the CPU by `algorithm`; by the own kernels where oneDNN does not serve the shape. Images
/// may be in either layout, and are converted where they have not the algorithm's; the result is
/// written in the layout that y or dx has.
/// bf16: by oneDNN where the CPU has instructions for it; else the operands are widened, computed
/// with as f32 ones by choose()'s algorithm for those, and what leaves in bf16 is rounded once. dw
/// is f32.
void forward_cpu(Stream& stream, Algorithm algorithm, const Geometry& g, const Tensor& x,
                 const Tensor& weight, const Tensor& bias, Tensor& y);
void backward_data_cpu(Stream& stream, Algorithm algorithm, const Geometry& g, const Tensor& dy,
                       const Tensor& weight, Tensor& dx);
void backward_weights_cpu(Stream& stream, Algorithm algorithm, const Geometry& g, const Tensor& dy,
                          const Tensor& x, Tensor& dw);

/// Through oneDNN, in the algorithm's layout: false, and nothing done, where it has no
/// implementation but its naive one.
bool forward_onednn(Stream& stream, const Geometry& g, Algorithm algorithm, const Tensor& x,
                    const Tensor& weight, const Tensor& bias, const Tensor& y);
bool backward_data_onednn(Stream& stream, const Geometry& g, Algorithm algorithm, const Tensor& dy,
                          const Tensor& weight, const Tensor& dx);
bool backward_weights_onednn(Stream& stream, const Geometry& g, Algorithm algorithm,
                             const Tensor& dy, const Tensor& x, const Tensor& dw);
/// oneDNN's name of what it would take ("brgconv:avx512_core"); empty where it has nothing.
std::string onednn_implementation(Stream& stream, const Geometry& g, DType dtype,
                                  Algorithm algorithm, Pass pass);
/// Whether oneDNN finds instructions for products of bf16 here (AVX512-BF16 or AMX). Without them
/// it would emulate, slower than f32.
bool onednn_has_bf16();
/// What computes a pass, for people: "own", "oneDNN brgconv:avx512_core", and in bf16 "...,
/// widened".
std::string computed_by(Stream& stream, const Geometry& g, DType dtype, Algorithm algorithm,
                        Pass pass);

/// The project's own kernels, NHWC. `bias` may be undefined.
void forward_own(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                 const Tensor& bias, Tensor& y);
void backward_data_own(Stream& stream, const Geometry& g, const Tensor& dy, const Tensor& weight,
                       Tensor& dx);
void backward_weights_own(Stream& stream, const Geometry& g, const Tensor& dy, const Tensor& x,
                          Tensor& dw);

/// The same for Geometry::depthwise(), which the three above take by themselves.
void forward_depthwise(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                       const Tensor& bias, Tensor& y);
void backward_data_depthwise(Stream& stream, const Geometry& g, const Tensor& dy,
                             const Tensor& weight, Tensor& dx);
void backward_weights_depthwise(Stream& stream, const Geometry& g, const Tensor& dy,
                                const Tensor& x, Tensor& dw);

/// On a GPU, NHWC: through cuDNN where it has a plan, the bias in the same kernel, else by the own
/// kernels, which the stream's Fallbacks count.
/// dw and db come f32, dw may leave in the type of x; an undefined gradient is not computed.
void forward_cuda(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                  const Tensor& bias, Tensor& y);
void backward_cuda(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                   const Tensor& dy, Tensor& dx, Tensor& dw, Tensor& db);

/// db[o] = sum of dy[..., o] over all pixels.
void backward_bias_own(Stream& stream, const Geometry& g, const Tensor& dy, Tensor& db);

}  // namespace gliograd::conv_paths
