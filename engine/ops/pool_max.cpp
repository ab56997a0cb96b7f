// Max pooling: reference, CPU, backward node, entry, case.
#include <cmath>
#include <limits>
#include <utility>

#include "engine/autograd/op_range.hpp"
#include "engine/core/parallel.hpp"
#include "engine/core/simd.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/path.hpp"
#include "engine/ops/pool.hpp"
#include "engine/ops/pool_geometry.hpp"

namespace gliograd {
namespace {

using lanes::F32x16;
using lanes::I32x16;
using lanes::kLanes;

// ---- reference --------------------------------------------------------------------------------

void forward_reference(const PoolGeometry& g, const Tensor& x, Tensor& y, Tensor& tap) {
  for (int64_t o = 0; o < y.size(); ++o) {
    const int64_t c = o % g.c, j = o / g.c % g.wo, i = o / (g.c * g.wo) % g.ho,
                  n = o / (g.c * g.wo * g.ho);
    double best = -std::numeric_limits<double>::infinity();
    int64_t won = -1;
    for (int64_t r = 0; r < g.kernel; ++r) {
      for (int64_t s = 0; s < g.kernel; ++s) {
        const int64_t row = i * g.stride - g.top + r, column = j * g.stride - g.left + s;
        if (row < 0 || row >= g.h || column < 0 || column >= g.w) continue;
        const double v = x.at<double>(((n * g.h + row) * g.w + column) * g.c + c);
        if (won < 0 || v > best || std::isnan(v)) {
          best = v;
          won = r * g.kernel + s;
        }
      }
    }
    y.at<double>(o) = best;
    tap.at<uint8_t>(o) = static_cast<uint8_t>(won);
  }
}

void backward_reference(const PoolGeometry& g, const Tensor& dy, const Tensor& tap, Tensor& dx) {
  fill_zero(dx);
  for (int64_t o = 0; o < dy.size(); ++o) {
    const int64_t c = o % g.c, j = o / g.c % g.wo, i = o / (g.c * g.wo) % g.ho,
                  n = o / (g.c * g.wo * g.ho);
    const int64_t row = i * g.stride - g.top + tap.at<uint8_t>(o) / g.kernel,
                  column = j * g.stride - g.left + tap.at<uint8_t>(o) % g.kernel;
    dx.at<double>(((n * g.h + row) * g.w + column) * g.c + c) += dy.at<double>(o);
  }
}

// ---- cpu: rows of the output, 16 channels at a time -------------------------------------------

// One tap of a window: v wins where it is larger than the best so far, or NaN.
GG_INLINE void take(lanes::F32x8& best, lanes::I32x8& won, const lanes::F32x8& v, int32_t tap) {
  const lanes::I32x8 taps = lanes::I32x8{} + tap;
  won = v > best ? taps : won;
  won = v != v ? taps : won;  // NOLINT(misc-redundant-expression): NaN
  best = v > best ? v : best;
  best = v != v ? v : best;  // NOLINT(misc-redundant-expression)
}

// One window: taps [r0, r1) x [s0, s1). Tap (0, 0) is x[at] and may lie outside the image.
template <class T>
GG_INLINE void max_window(const PoolGeometry& g, const T* x, int64_t at, int64_t r0, int64_t r1,
                          int64_t s0, int64_t s1, int64_t width, T* y, uint8_t* tap) {
  F32x16 best, v;
  I32x16 won{};
  lanes::load(best, x + (at + (r0 * g.w + s0) * g.c), width);
  for (int64_t r = r0; r < r1; ++r) {
    for (int64_t s = s0; s < s1; ++s) {
      lanes::load(v, x + (at + (r * g.w + s) * g.c), width);
      const auto here = static_cast<int32_t>(r * g.kernel + s);
      if (r == r0 && s == s0) {
        won = {won.lo + here, won.hi + here};
      } else {
        take(best.lo, won.lo, v.lo, here);
        take(best.hi, won.hi, v.hi, here);
      }
    }
  }
  lanes::store(y, best, width);
  lanes::store(tap, won, width);
}

// Output rows [begin, end) of all images, counted through.
template <class T>
GG_INLINE void max_rows_of(const PoolGeometry& g, const T* x, T* y, uint8_t* tap, int64_t begin,
                           int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t n = row / g.ho, i = row % g.ho, top = i * g.stride - g.top;
    const int64_t r0 = g.first_row(i) - top, r1 = g.last_row(i) - top;
    for (int64_t j = 0; j < g.wo; ++j) {
      const int64_t left = j * g.stride - g.left;
      const int64_t s0 = g.first_column(j) - left, s1 = g.last_column(j) - left;
      const int64_t window = ((n * g.h + top) * g.w + left) * g.c;
      const int64_t out = (row * g.wo + j) * g.c;
      const bool two = g.kernel == 2 && r1 - r0 == 2 && s1 - s0 == 2;
      for (int64_t c = 0; c < g.c; c += kLanes) {
        const int64_t width = std::min(kLanes, g.c - c);
        if (two && width == kLanes) {  // the common case, its taps unrolled
          max_window(g, x, window + c, 0, 2, 0, 2, kLanes, y + out + c, tap + out + c);
        } else {
          max_window(g, x, window + c, r0, r1, s0, s1, width, y + out + c, tap + out + c);
        }
      }
    }
  }
}

// dx where windows tile the image (stride = kernel, no padding): every pixel is written once.
template <class T>
GG_INLINE void tiled_rows_of(const PoolGeometry& g, const T* dy, const uint8_t* tap, T* dx,
                             int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t n = row / g.ho, i = row % g.ho;
    T* image = dx + (n * g.h + i * g.kernel) * g.w * g.c;
    for (int64_t j = 0; j < g.wo; ++j) {
      for (int64_t c = 0; c < g.c; c += kLanes) {
        const int64_t width = std::min(kLanes, g.c - c), at = (row * g.wo + j) * g.c + c;
        F32x16 d;
        I32x16 won;
        lanes::load(d, dy + at, width);
        lanes::load(won, tap + at, width);
        for (int64_t r = 0; r < g.kernel; ++r) {
          for (int64_t s = 0; s < g.kernel; ++s) {
            lanes::store(image + (r * g.w + j * g.kernel + s) * g.c + c,
                         lanes::where_equal(won, static_cast<int32_t>(r * g.kernel + s), d), width);
          }
        }
      }
    }
    // What no window meets: the columns right of the last one, the rows below it.
    const int64_t used = g.wo * g.kernel * g.c, full = g.w * g.c;
    for (int64_t r = 0; r < g.kernel; ++r) {
      for (int64_t k = used; k < full; ++k) image[r * full + k] = T{};
    }
    if (i + 1 == g.ho) {
      for (int64_t k = g.kernel * full; k < (g.h - i * g.kernel) * full; ++k) image[k] = T{};
    }
  }
}

GG_MULTIVERSION void max_rows(const PoolGeometry& g, const float* x, float* y, uint8_t* tap,
                              int64_t begin, int64_t end) {
  max_rows_of(g, x, y, tap, begin, end);
}
GG_MULTIVERSION void max_rows(const PoolGeometry& g, const bf16* x, bf16* y, uint8_t* tap,
                              int64_t begin, int64_t end) {
  max_rows_of(g, x, y, tap, begin, end);
}
GG_MULTIVERSION void tiled_rows(const PoolGeometry& g, const float* dy, const uint8_t* tap,
                                float* dx, int64_t begin, int64_t end) {
  tiled_rows_of(g, dy, tap, dx, begin, end);
}
GG_MULTIVERSION void tiled_rows(const PoolGeometry& g, const bf16* dy, const uint8_t* tap, bf16* dx,
                                int64_t begin, int64_t end) {
  tiled_rows_of(g, dy, tap, dx, begin, end);
}

// dx of images [begin, end), windows as they come: cleared, then added up in order, and so in f32.
GG_MULTIVERSION void scattered_images(const PoolGeometry& g, const float* dy, const uint8_t* tap,
                                      float* dx, int64_t begin, int64_t end) {
  for (int64_t k = begin * g.h * g.w * g.c; k < end * g.h * g.w * g.c; ++k) dx[k] = 0;
  for (int64_t row = begin * g.ho; row < end * g.ho; ++row) {
    const int64_t n = row / g.ho, i = row % g.ho, top = i * g.stride - g.top;
    for (int64_t j = 0; j < g.wo; ++j) {
      const int64_t left = j * g.stride - g.left;
      for (int64_t c = 0; c < g.c; c += kLanes) {
        const int64_t width = std::min(kLanes, g.c - c), at = (row * g.wo + j) * g.c + c;
        F32x16 d, sum;
        I32x16 won;
        lanes::load(d, dy + at, width);
        lanes::load(won, tap + at, width);
        for (int64_t r = g.first_row(i); r < g.last_row(i); ++r) {
          for (int64_t s = g.first_column(j); s < g.last_column(j); ++s) {
            float* to = dx + ((n * g.h + r) * g.w + s) * g.c + c;
            const int32_t tap_here = static_cast<int32_t>((r - top) * g.kernel + s - left);
            lanes::load(sum, to, width);
            sum += lanes::where_equal(won, tap_here, d);
            lanes::store(to, sum, width);
          }
        }
      }
    }
  }
}

int64_t grain(int64_t values) {
  return std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, values));
}

// ---- backward ---------------------------------------------------------------------------------

class MaxPoolNode final : public Node {
 public:
  MaxPoolNode(const PoolGeometry& g, const Tensor& x, Tensor tap, bool tiled)
      : g_(g), layout_(x.layout), tap_(std::move(tap)), tiled_(tiled) {}
  const char* name() const override { return "max_pool"; }
  int64_t saved_bytes() const override { return tap_.bytes(); }
  OpFacts facts(Stream&, const std::vector<bool>&) const override {
    const auto windows = static_cast<double>(tap_.size());
    return {.forward_ops = windows * static_cast<double>(g_.kernel * g_.kernel),
            .backward_ops = windows};
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy_any) override {
    const Tensor dy = to_layout(dy_any, layout_);
    Tensor dx = empty_like(dy, {g_.n, g_.h, g_.w, g_.c}, dy.dtype, dy.layout);
    const PoolGeometry g = in_memory(g_, layout_);
    const int threads = context.stream.threads();
    switch (path_of(dy)) {
      case Path::reference: backward_reference(g_, dy, tap_, dx); break;
      case Path::cpu:
        if (tiled_) {
          with_cpu_type(dy, [&](auto t) {
            using T = decltype(t);
            parallel_for(
                threads, g.n * g.ho, grain(g.kernel * g.w * g.c), [&](int64_t begin, int64_t end) {
                  tiled_rows(g, dy.data<T>(), tap_.data<uint8_t>(), dx.data<T>(), begin, end);
                });
          });
        } else {
          const Tensor d = cast(dy, DType::f32, threads);
          Tensor sum = dx.dtype == DType::f32 ? dx : empty_like(dx, dx.shape, DType::f32);
          parallel_for(threads, g.n, grain(g.h * g.w * g.c), [&](int64_t begin, int64_t end) {
            scattered_images(g, d.data<float>(), tap_.data<uint8_t>(), sum.data<float>(), begin,
                             end);
          });
          dx = cast(sum, dx.dtype, threads);
        }
        break;
      case Path::cuda:
        kernels::max_pool_gradients(context.stream.queue(), g_, dy.dtype, dy.raw(),
                                    static_cast<const uint8_t*>(tap_.raw()), dx.raw());
        break;
    }
    return {dx};
  }

 private:
  PoolGeometry g_;
  Layout layout_;
  Tensor tap_;  // u8 like y: r * kernel + s of the tap that won
  bool tiled_;
};

}  // namespace

// ---- entry ------------------------------------------------------------------------------------

Tensor max_pool(Tape& tape, const Tensor& x, const PoolOptions& options) {
  const OpRange range(tape, "max_pool");
  check_computable("max_pool", x);
  const PoolGeometry g = pool_geometry("max_pool", x, options.kernel, options.stride, options.pad);
  Tensor y = empty_like(x, pooled_shape(g), x.dtype, x.layout);
  Tensor tap = empty_like(x, pooled_shape(g), DType::u8, x.layout);
  switch (path_of(x)) {
    case Path::reference: forward_reference(g, x, y, tap); break;
    case Path::cpu: {
      const PoolGeometry m = in_memory(g, x.layout);
      with_cpu_type(x, [&](auto t) {
        using T = decltype(t);
        parallel_for(tape.stream().threads(), m.n * m.ho, grain(m.kernel * m.w * m.c),
                     [&](int64_t begin, int64_t end) {
                       max_rows(m, x.data<T>(), y.data<T>(), tap.data<uint8_t>(), begin, end);
                     });
      });
      break;
    }
    case Path::cuda:
      kernels::max_pool_values(tape.queue(), g, x.dtype, x.raw(), y.raw(),
                               static_cast<uint8_t*>(tap.raw()));
      break;
  }
  const bool tiled = options.stride == options.kernel && options.pad == Padding{};
  return tape.record(y, {x}, MaxPoolNode(g, x, tap, tiled));
}

// ---- case -------------------------------------------------------------------------------------

namespace {

CaseRow row(std::string label, const Shape& x, PoolOptions options, Layout layout = Layout::nhwc,
            bool bench = false) {
  CaseRow r;
  r.label = std::move(label);
  // Evenly spaced values: no ties, whose gradient would be a kink.
  r.inputs = {{.shape = x, .fill = CaseInput::Fill::distinct, .batch = true}};
  r.op = [options, layout](Tape& tape, const std::vector<Tensor>& in) {
    return max_pool(tape, in_case_layout(in[0], layout), options);
  };
  r.bench = bench;
  r.cost = {.bytes = 5.25 * static_cast<double>(x.size()), .ops = static_cast<double>(x.size())};
  return r;
}

const bool kCase = register_case({
    .name = "max_pool",
    .rows =
        {
            row("2x2, odd sizes", {2, 5, 7, 3}, {}),
            row("size one", {1, 1, 1, 1}, {.kernel = 1, .stride = 1}),
            row("3x3, stride 2, padding 1, 17 channels", {2, 6, 7, 17},
                {.kernel = 3, .stride = 2, .pad = Padding::all(1)}),
            row("stride 3 leaves pixels out", {1, 8, 9, 2}, {.kernel = 2, .stride = 3}),
            row("asymmetric padding", {1, 5, 6, 4},
                {.kernel = 3, .stride = 2, .pad = {0, 2, 1, 0}}),
            row("3x3 tiles, blocked", {2, 7, 8, 20}, {.kernel = 3, .stride = 3}, Layout::blocked16),
            row("overlapping, blocked", {1, 6, 5, 16},
                {.kernel = 3, .stride = 1, .pad = Padding::all(1)}, Layout::blocked16),
            row("80 x 80, 16", {32, 80, 80, 16}, {}, Layout::nhwc, true),
            row("40 x 40, 32", {32, 40, 40, 32}, {}, Layout::nhwc, true),
        },
    .f32_tolerance =
        1e-7,  // the values are copied; sums of overlapping windows round once or twice
});

}  // namespace
}  // namespace gliograd
