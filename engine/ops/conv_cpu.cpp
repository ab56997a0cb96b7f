// Which algorithm serves a convolution on the CPU, and the call of it.
#include <algorithm>

#include "engine/ops/conv_paths.hpp"
#include "engine/tensor/cast.hpp"
#include "engine/tensor/layout.hpp"
#include "kernels/cpu/product.hpp"

#ifndef GLIOGRAD_HAS_ONEDNN
#define GLIOGRAD_HAS_ONEDNN 0
#endif

namespace gliograd::conv_paths {

#if !GLIOGRAD_HAS_ONEDNN
bool forward_onednn(Stream&, const Geometry&, Algorithm, const Tensor&, const Tensor&,
                    const Tensor&, const Tensor&) {
  return false;
}
bool backward_data_onednn(Stream&, const Geometry&, Algorithm, const Tensor&, const Tensor&,
                          const Tensor&) {
  return false;
}
bool backward_weights_onednn(Stream&, const Geometry&, Algorithm, const Tensor&, const Tensor&,
                             const Tensor&) {
  return false;
}
std::string onednn_implementation(Stream&, const Geometry&, DType, Algorithm, Pass) { return {}; }
bool onednn_has_bf16() { return false; }
#endif

namespace {

bool has_avx512() {
  static const bool answer = kernels::product_kernel(kernels::Isa::avx512) != nullptr;
  return answer;
}

}  // namespace

// Measured per shape in bench/results/product.md. With AVX-512, oneDNN's direct kernels are equally
// fast in both layouts; Winograd, which knows the blocked one alone, takes 0.5 to 0.9 of their time
// from 32 channels on, and with 16 channels in the gradients. An image that is blocked already
// stays so.
Choice choose(const Stream& stream, const Geometry& g, DType dtype, Layout x) {
  if (!GLIOGRAD_HAS_ONEDNN || !stream.vendor()) {
    return {Algorithm::own, Algorithm::own, Algorithm::own};
  }
  if (dtype == DType::bf16) return {Algorithm::direct, Algorithm::direct, Algorithm::direct};
  const bool blocks = has_avx512() && g.groups == 1 && g.ci % 16 == 0 && g.co % 16 == 0;
  const bool three = g.kh == 3 && g.kw == 3 && g.stride == 1 && g.dilation == 1 &&
                     (g.pad == Padding::all(0) || g.pad == Padding::all(1));
  if (blocks && three) {
    const bool wide = std::min(g.ci, g.co) >= 32;
    return {wide ? Algorithm::winograd : Algorithm::direct_blocked, Algorithm::winograd,
            Algorithm::winograd};
  }
  const Algorithm any =
      blocks && x == Layout::blocked16 ? Algorithm::direct_blocked : Algorithm::direct;
  return {any, any, any};
}

namespace {

// Where a result is computed: `to` itself where its layout is `layout`, else memory of its own.
Tensor place_for(Stream& stream, const Tensor& to, Layout layout) {
  if (same_order(to.shape, to.layout, layout)) return to;
  return empty(stream, to.shape, to.dtype, layout);
}

void put(Stream& stream, const Tensor& from, Tensor& to) {
  if (from.storage() != to.storage()) to = to_layout(from, to.layout, stream.threads());
}

bool is_served(const std::string& implementation) {
  return !implementation.empty() && implementation.rfind("ref", 0) != 0;
}

// What computes a bf16 convolution whose operands were widened.
Choice choose_widened(const Stream& stream, const Geometry& g) {
  return choose(stream, g, DType::f32, Layout::nhwc);
}

// A weight's copy is made anew only when the weight changed.
Tensor widened(Stream& stream, const Tensor& t) {
  if (!t.defined()) return t;
  const auto make = [&] { return cast(t.detached(), DType::f32, stream.threads()); };
  return t.parameter ? t.parameter->cached("conv:widened", make) : make();
}

}  // namespace

std::string computed_by(Stream& stream, const Geometry& g, DType dtype, Algorithm algorithm,
                        Pass pass) {
  if (dtype == DType::bf16) {
    if (algorithm == Algorithm::direct && onednn_has_bf16()) {
      const std::string name = onednn_implementation(stream, g, dtype, algorithm, pass);
      if (is_served(name)) return "oneDNN " + name;
    }
    const Choice c = choose_widened(stream, g);
    algorithm = pass == Pass::forward ? c.forward : pass == Pass::data ? c.data : c.weights;
    return computed_by(stream, g, DType::f32, algorithm, pass) + ", widened";
  }
  if (algorithm == Algorithm::own) return "own";
  const std::string name = onednn_implementation(stream, g, dtype, algorithm, pass);
  return is_served(name) ? "oneDNN " + name : "own";
}

void forward_cpu(Stream& stream, Algorithm algorithm, const Geometry& g, const Tensor& x,
                 const Tensor& weight, const Tensor& bias, Tensor& y) {
  if (x.dtype == DType::bf16) {
    if (algorithm == Algorithm::direct && onednn_has_bf16() &&
        forward_onednn(stream, g, algorithm, x, weight, bias, y)) {
      return;
    }
    Tensor wide = empty(stream, y.shape);
    forward_cpu(stream, choose_widened(stream, g).forward, g, widened(stream, x),
                widened(stream, weight), widened(stream, bias), wide);
    return copy_into(y, wide, stream.threads());
  }
  if (algorithm != Algorithm::own) {
    const Layout layout = layout_of(algorithm);
    const Tensor out = place_for(stream, y, layout);
    const Tensor in = to_layout(x, layout, stream.threads());
    if (forward_onednn(stream, g, algorithm, in, weight, bias, out)) return put(stream, out, y);
  }
  Tensor out = place_for(stream, y, Layout::nhwc);
  forward_own(stream, g, to_layout(x, Layout::nhwc, stream.threads()), weight, bias, out);
  put(stream, out, y);
}

void backward_data_cpu(Stream& stream, Algorithm algorithm, const Geometry& g, const Tensor& dy,
                       const Tensor& weight, Tensor& dx) {
  if (dy.dtype == DType::bf16) {
    if (algorithm == Algorithm::direct && onednn_has_bf16() &&
        backward_data_onednn(stream, g, algorithm, dy, weight, dx)) {
      return;
    }
    Tensor wide = empty(stream, dx.shape);
    backward_data_cpu(stream, choose_widened(stream, g).data, g, widened(stream, dy),
                      widened(stream, weight), wide);
    return copy_into(dx, wide, stream.threads());
  }
  if (algorithm != Algorithm::own) {
    const Layout layout = layout_of(algorithm);
    const Tensor out = place_for(stream, dx, layout);
    const Tensor in = to_layout(dy, layout, stream.threads());
    if (backward_data_onednn(stream, g, algorithm, in, weight, out)) return put(stream, out, dx);
  }
  Tensor out = place_for(stream, dx, Layout::nhwc);
  backward_data_own(stream, g, to_layout(dy, Layout::nhwc, stream.threads()), weight, out);
  put(stream, out, dx);
}

void backward_weights_cpu(Stream& stream, Algorithm algorithm, const Geometry& g, const Tensor& dy,
                          const Tensor& x, Tensor& dw) {
  const int threads = stream.threads();
  if (x.dtype == DType::bf16) {
    if (algorithm == Algorithm::direct && onednn_has_bf16() &&
        backward_weights_onednn(stream, g, algorithm, dy, x, dw)) {
      return;
    }
    return backward_weights_cpu(stream, choose_widened(stream, g).weights, g, widened(stream, dy),
                                widened(stream, x), dw);
  }
  if (algorithm != Algorithm::own) {
    const Layout layout = layout_of(algorithm);
    if (backward_weights_onednn(stream, g, algorithm, to_layout(dy, layout, threads),
                                to_layout(x, layout, threads), dw)) {
      return;
    }
  }
  backward_weights_own(stream, g, to_layout(dy, Layout::nhwc, threads),
                       to_layout(x, Layout::nhwc, threads), dw);
}

}  // namespace gliograd::conv_paths
