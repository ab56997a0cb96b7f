// Upsampling: f64 reference, CPU, backward node, entry, case.
#include "engine/ops/upsample.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "engine/autograd/op_range.hpp"
#include "engine/core/parallel.hpp"
#include "engine/core/simd.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/lanes.hpp"
#include "engine/ops/path.hpp"
#include "engine/tensor/layout.hpp"
#include "kernels/upsample.hpp"

namespace gliograd {
namespace {

using Geometry = kernels::UpsampleGeometry;
using kernels::UpsampleTaps;

// ---- reference --------------------------------------------------------------------------------

// Calls body(output index, input index, weight) for every pixel that an output is made of.
template <class Body>
void for_each_share(const Geometry& g, const Body& body) {
  const auto around = [&](int64_t i, int64_t size, const auto& give) {
    const auto factor = static_cast<double>(g.factor);
    const double at = (static_cast<double>(i) + 0.5) / factor - 0.5;
    if (!g.linear) return give(static_cast<int64_t>(std::floor(at + 0.5)), 1.0);
    const double held = std::clamp(at, 0.0, static_cast<double>(size - 1));
    for (int64_t p = 0; p < size; ++p) {
      const double weight = 1 - std::abs(held - static_cast<double>(p));
      if (weight > 0) give(p, weight);
    }
  };
  for (int64_t n = 0; n < g.n; ++n)
    for (int64_t i = 0; i < g.ho(); ++i)
      for (int64_t j = 0; j < g.wo(); ++j)
        around(i, g.h, [&](int64_t r, double down) {
          around(j, g.w, [&](int64_t s, double across) {
            for (int64_t c = 0; c < g.c; ++c) {
              body(((n * g.ho() + i) * g.wo() + j) * g.c + c, ((n * g.h + r) * g.w + s) * g.c + c,
                   down * across);
            }
          });
        });
}

// ---- CPU --------------------------------------------------------------------------------------

// Output rows [begin, end) of all images.
template <class T>
GG_INLINE void value_rows_of(const Geometry& g, const T* x, T* y, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t n = row / g.ho();
    const UpsampleTaps down = g.taps(row % g.ho(), g.h);
    const T* top = x + (n * g.h + down.low) * g.w * g.c;
    const T* bottom = x + (n * g.h + down.high) * g.w * g.c;
    for (int64_t j = 0; j < g.wo(); ++j) {
      const UpsampleTaps across = g.taps(j, g.w);
      const int64_t left = across.low * g.c, right = across.high * g.c;
      T* to = y + (row * g.wo() + j) * g.c;
      for (int64_t c = 0; c < g.c; ++c) {
        const float above =
            (1 - across.share) * value_of(top[left + c]) + across.share * value_of(top[right + c]);
        const float below = (1 - across.share) * value_of(bottom[left + c]) +
                            across.share * value_of(bottom[right + c]);
        put(to[c], (1 - down.share) * above + down.share * below);
      }
    }
  }
}

GG_MULTIVERSION void value_rows(const Geometry& g, const float* x, float* y, int64_t begin,
                                int64_t end) {
  value_rows_of(g, x, y, begin, end);
}
GG_MULTIVERSION void value_rows(const Geometry& g, const bf16* x, bf16* y, int64_t begin,
                                int64_t end) {
  value_rows_of(g, x, y, begin, end);
}

// The pixels of x's rows [begin, end) of all images, each from the outputs that it gave to.
GG_MULTIVERSION void gradient_rows(const Geometry& g, const float* dy, float* dx, int64_t begin,
                                   int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t n = row / g.h, r = row % g.h;
    for (int64_t s = 0; s < g.w; ++s) {
      float* to = dx + (row * g.w + s) * g.c;
      for (int64_t c = 0; c < g.c; ++c) to[c] = 0;
      for (int64_t i = g.first(r); i < g.last(r, g.h); ++i) {
        const float down = g.share(r, i, g.h);
        for (int64_t j = g.first(s); j < g.last(s, g.w); ++j) {
          const float share = down * g.share(s, j, g.w);
          const float* from = dy + ((n * g.ho() + i) * g.wo() + j) * g.c;
          for (int64_t c = 0; c < g.c; ++c) to[c] += share * from[c];
        }
      }
    }
  }
}

class UpsampleNode final : public Node {
 public:
  explicit UpsampleNode(const Geometry& g) : g_(g) {}
  const char* name() const override { return "upsample"; }
  int64_t saved_bytes() const override { return 0; }
  OpFacts facts(Stream&, const std::vector<bool>&) const override {
    const double ops = g_.linear ? 8.0 * static_cast<double>(g_.n * g_.ho() * g_.wo() * g_.c) : 0.0;
    return {.forward_ops = ops, .backward_ops = ops};
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& any) override {
    const Tensor dy = to_layout(any, Layout::nhwc);
    Tensor dx = empty_like(dy, {g_.n, g_.h, g_.w, g_.c});
    switch (path_of(dy)) {
      case Path::reference:
        fill_zero(dx);
        for_each_share(g_, [&](int64_t o, int64_t i, double weight) {
          dx.at<double>(i) += weight * dy.at<double>(o);
        });
        break;
      case Path::cpu: {  // adds up in place, so in f32
        const int threads = context.stream.threads();
        const Tensor d = cast(dy, DType::f32, threads);
        const Tensor sum = dx.dtype == DType::f32 ? dx : empty_like(dx, dx.shape, DType::f32);
        parallel_for(threads, g_.n * g_.h, 4, [&](int64_t begin, int64_t end) {
          gradient_rows(g_, d.data<float>(), sum.data<float>(), begin, end);
        });
        dx = cast(sum, dx.dtype, threads);
        break;
      }
      case Path::cuda:
        kernels::upsample_gradients(context.stream.queue(), g_, dy.dtype, dy.raw(), dx.raw());
        break;
    }
    return {dx};
  }

 private:
  Geometry g_;
};

}  // namespace

// ---- entry ------------------------------------------------------------------------------------

Tensor upsample(Tape& tape, const Tensor& any, const UpsampleOptions& options) {
  const OpRange range(tape, "upsample");
  check_computable("upsample", any);
  GG_CHECK(any.rank() == 4 && any.size() > 0,
           "upsample: x must be [N, H, W, C] and not empty; got ", any.shape);
  GG_CHECK(options.factor >= 1 && options.factor <= 64, "upsample: factor must be 1 to 64; got ",
           options.factor);
  const Tensor x = to_layout(any, Layout::nhwc);
  const Geometry g{x.dim(0), x.dim(1),       x.dim(2),
                   x.dim(3), options.factor, options.interpolation == Interpolation::linear};
  Tensor y = empty_like(x, {g.n, g.ho(), g.wo(), g.c});
  switch (path_of(x)) {
    case Path::reference:
      fill_zero(y);
      for_each_share(g, [&](int64_t o, int64_t i, double weight) {
        y.at<double>(o) += weight * x.at<double>(i);
      });
      break;
    case Path::cpu:
      with_cpu_type(x, [&](auto t) {
        using T = decltype(t);
        parallel_for(tape.stream().threads(), g.n * g.ho(), 4, [&](int64_t begin, int64_t end) {
          value_rows(g, x.data<T>(), y.data<T>(), begin, end);
        });
      });
      break;
    case Path::cuda: kernels::upsample_values(tape.queue(), g, x.dtype, x.raw(), y.raw()); break;
  }
  return tape.record(std::move(y), {any}, UpsampleNode(g));
}

// ---- case -------------------------------------------------------------------------------------

namespace {

CaseRow row(std::string label, const Shape& x, int64_t factor, Interpolation interpolation,
            bool bench = false) {
  CaseRow r;
  r.label = std::move(label);
  r.inputs = {{.shape = x, .batch = true}};
  r.op = [factor, interpolation](Tape& tape, const std::vector<Tensor>& in) {
    return upsample(tape, in[0], {.factor = factor, .interpolation = interpolation});
  };
  r.bench = bench;
  const auto values = static_cast<double>(x.size() * factor * factor);
  r.cost = {.bytes = 4.0 * (static_cast<double>(x.size()) + values),
            .ops = interpolation == Interpolation::linear ? 8 * values : 0};
  return r;
}

using enum Interpolation;

const bool kCase = register_case({
    .name = "upsample",
    .rows = {row("nearest, odd sizes", {2, 5, 3, 7}, 2, nearest),
             row("linear, odd sizes", {2, 5, 3, 7}, 2, linear),
             row("linear by 3, one row", {1, 1, 4, 16}, 3, linear),
             row("linear by 4, 17 channels", {1, 3, 2, 17}, 4, linear),
             row("nearest by 3", {1, 2, 3, 8}, 3, nearest),
             row("one pixel, 16 channels", {1, 1, 1, 16}, 2, linear),
             row("by 1", {2, 3, 3, 5}, 1, linear),
             row("20 x 20, 64, nearest: a step up in a U-Net", {32, 20, 20, 64}, 2, nearest, true),
             row("20 x 20, 64, linear", {32, 20, 20, 64}, 2, linear, true)},
    // A gradient is a sum of a few values of either sign, which may nearly cancel.
    .f32_tolerance = 1e-6,
});

}  // namespace
}  // namespace gliograd
