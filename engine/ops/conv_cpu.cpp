// Which algorithm serves a convolution on the CPU, and the call of it.
#include "engine/ops/conv_paths.hpp"

namespace gliograd::conv_paths {

#if !GLIOGRAD_HAS_ONEDNN
bool forward_onednn(Stream&, const Geometry&, Algorithm, const Tensor&, const Tensor&,
                    const Tensor&, Tensor&) {
  return false;
}
bool backward_data_onednn(Stream&, const Geometry&, Algorithm, const Tensor&, const Tensor&,
                          Tensor&) {
  return false;
}
bool backward_weights_onednn(Stream&, const Geometry&, Algorithm, const Tensor&, const Tensor&,
                             Tensor&) {
  return false;
}
std::string onednn_implementation(Stream&, const Geometry&, Algorithm, Pass) { return {}; }
#endif

Algorithm choose(Stream& stream, Pass, const Geometry&) {
  if (!stream.vendor()) return Algorithm::own;
  return Algorithm::direct;
}

void forward_cpu(Stream& stream, Algorithm algorithm, const Geometry& g, const Tensor& x,
                 const Tensor& weight, const Tensor& bias, Tensor& y) {
  if (algorithm == Algorithm::own || !forward_onednn(stream, g, algorithm, x, weight, bias, y)) {
    forward_own(stream, g, x, weight, bias, y);
  }
}

void backward_data_cpu(Stream& stream, Algorithm algorithm, const Geometry& g, const Tensor& dy,
                       const Tensor& weight, Tensor& dx) {
  if (algorithm == Algorithm::own || !backward_data_onednn(stream, g, algorithm, dy, weight, dx)) {
    backward_data_own(stream, g, dy, weight, dx);
  }
}

void backward_weights_cpu(Stream& stream, Algorithm algorithm, const Geometry& g, const Tensor& dy,
                          const Tensor& x, Tensor& dw) {
  if (algorithm == Algorithm::own || !backward_weights_onednn(stream, g, algorithm, dy, x, dw)) {
    backward_weights_own(stream, g, dy, x, dw);
  }
}

}  // namespace gliograd::conv_paths
