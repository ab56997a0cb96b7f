// Average pooling and global average pooling: reference, CPU, backward node, entry, case of each.
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
using lanes::kLanes;

int64_t grain(int64_t values) {
  return std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, values));
}

// ---- average_pool: reference ------------------------------------------------------------------

// Calls body(output index, input index, divisor) for every pixel of every window.
template <class Body>
void for_each_tap(const PoolGeometry& g, bool count_padding, const Body& body) {
  for (int64_t o = 0; o < g.n * g.ho * g.wo * g.c; ++o) {
    const int64_t c = o % g.c, j = o / g.c % g.wo, i = o / (g.c * g.wo) % g.ho,
                  n = o / (g.c * g.wo * g.ho);
    int64_t inside = 0;
    for (const bool count : {true, false}) {
      for (int64_t r = 0; r < g.kernel; ++r) {
        for (int64_t s = 0; s < g.kernel; ++s) {
          const int64_t row = i * g.stride - g.top + r, column = j * g.stride - g.left + s;
          if (row < 0 || row >= g.h || column < 0 || column >= g.w) continue;
          if (count) {
            ++inside;
          } else {
            body(o, ((n * g.h + row) * g.w + column) * g.c + c,
                 static_cast<double>(count_padding ? g.kernel * g.kernel : inside));
          }
        }
      }
    }
  }
}

// ---- average_pool: cpu ------------------------------------------------------------------------

GG_INLINE float weight_of(const PoolGeometry& g, int64_t i, int64_t j, bool count_padding) {
  const int64_t pixels = (g.last_row(i) - g.first_row(i)) * (g.last_column(j) - g.first_column(j));
  return 1.0f / static_cast<float>(count_padding ? g.kernel * g.kernel : pixels);
}

template <class T>
GG_INLINE void average_rows_of(const PoolGeometry& g, bool count_padding, const T* x, T* y,
                               int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t n = row / g.ho, i = row % g.ho;
    for (int64_t j = 0; j < g.wo; ++j) {
      const float weight = weight_of(g, i, j, count_padding);
      for (int64_t c = 0; c < g.c; c += kLanes) {
        const int64_t width = std::min(kLanes, g.c - c);
        F32x16 sum{}, v;
        for (int64_t r = g.first_row(i); r < g.last_row(i); ++r) {
          for (int64_t s = g.first_column(j); s < g.last_column(j); ++s) {
            lanes::load(v, x + ((n * g.h + r) * g.w + s) * g.c + c, width);
            sum += v;
          }
        }
        lanes::store(y + (row * g.wo + j) * g.c + c, sum * weight, width);
      }
    }
  }
}

GG_MULTIVERSION void average_rows(const PoolGeometry& g, bool count_padding, const float* x,
                                  float* y, int64_t begin, int64_t end) {
  average_rows_of(g, count_padding, x, y, begin, end);
}
GG_MULTIVERSION void average_rows(const PoolGeometry& g, bool count_padding, const bf16* x, bf16* y,
                                  int64_t begin, int64_t end) {
  average_rows_of(g, count_padding, x, y, begin, end);
}

// Adds up in place, so in f32 whatever the images are in.
GG_MULTIVERSION void average_gradient(const PoolGeometry& g, bool count_padding, const float* dy,
                                      float* dx, int64_t begin, int64_t end) {
  for (int64_t k = begin * g.h * g.w * g.c; k < end * g.h * g.w * g.c; ++k) dx[k] = 0;
  for (int64_t row = begin * g.ho; row < end * g.ho; ++row) {
    const int64_t n = row / g.ho, i = row % g.ho;
    for (int64_t j = 0; j < g.wo; ++j) {
      const float weight = weight_of(g, i, j, count_padding);
      for (int64_t c = 0; c < g.c; c += kLanes) {
        const int64_t width = std::min(kLanes, g.c - c);
        F32x16 d, sum;
        lanes::load(d, dy + (row * g.wo + j) * g.c + c, width);
        d = d * weight;
        for (int64_t r = g.first_row(i); r < g.last_row(i); ++r) {
          for (int64_t s = g.first_column(j); s < g.last_column(j); ++s) {
            float* to = dx + ((n * g.h + r) * g.w + s) * g.c + c;
            lanes::load(sum, to, width);
            sum += d;
            lanes::store(to, sum, width);
          }
        }
      }
    }
  }
}

class AveragePoolNode final : public Node {
 public:
  AveragePoolNode(const PoolGeometry& g, Layout layout, bool count_padding)
      : g_(g), layout_(layout), count_padding_(count_padding) {}
  const char* name() const override { return "average_pool"; }
  int64_t saved_bytes() const override { return 0; }
  OpFacts facts(Stream&, const std::vector<bool>&) const override {
    const double taps = static_cast<double>(g_.n * g_.ho * g_.wo * g_.c * g_.kernel * g_.kernel);
    return {.forward_ops = taps, .backward_ops = taps};
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy_any) override {
    const Tensor dy = to_layout(dy_any, layout_);
    Tensor dx = empty_like(dy, {g_.n, g_.h, g_.w, g_.c}, dy.dtype, dy.layout);
    switch (path_of(dy)) {
      case Path::reference:
        fill_zero(dx);
        for_each_tap(g_, count_padding_, [&](int64_t o, int64_t i, double divisor) {
          dx.at<double>(i) += dy.at<double>(o) / divisor;
        });
        break;
      case Path::cpu: {
        const PoolGeometry g = in_memory(g_, layout_);
        const int threads = context.stream.threads();
        const Tensor d = cast(dy, DType::f32, threads);
        Tensor sum = dx.dtype == DType::f32 ? dx : empty_like(dx, dx.shape, DType::f32);
        parallel_for(threads, g.n, grain(g.h * g.w * g.c), [&](int64_t begin, int64_t end) {
          average_gradient(g, count_padding_, d.data<float>(), sum.data<float>(), begin, end);
        });
        dx = cast(sum, dx.dtype, threads);
        break;
      }
      case Path::cuda:
        kernels::average_pool_gradients(context.stream.queue(), g_, dy.dtype, count_padding_,
                                        dy.raw(), dx.raw());
        break;
    }
    return {dx};
  }

 private:
  PoolGeometry g_;
  Layout layout_;
  bool count_padding_;
};

}  // namespace

Tensor average_pool(Tape& tape, const Tensor& x, const AveragePoolOptions& options) {
  const OpRange range(tape, "average_pool");
  check_computable("average_pool", x);
  const PoolGeometry g =
      pool_geometry("average_pool", x, options.kernel, options.stride, options.pad);
  Tensor y = empty_like(x, pooled_shape(g), x.dtype, x.layout);
  switch (path_of(x)) {
    case Path::reference:
      fill_zero(y);
      for_each_tap(g, options.count_padding, [&](int64_t o, int64_t i, double divisor) {
        y.at<double>(o) += x.at<double>(i) / divisor;
      });
      break;
    case Path::cpu: {
      const PoolGeometry m = in_memory(g, x.layout);
      with_cpu_type(x, [&](auto t) {
        using T = decltype(t);
        parallel_for(tape.stream().threads(), m.n * m.ho, grain(m.kernel * m.w * m.c),
                     [&](int64_t begin, int64_t end) {
                       average_rows(m, options.count_padding, x.data<T>(), y.data<T>(), begin, end);
                     });
      });
      break;
    }
    case Path::cuda:
      kernels::average_pool_values(tape.queue(), g, x.dtype, options.count_padding, x.raw(),
                                   y.raw());
      break;
  }
  return tape.record(y, {x}, AveragePoolNode(g, x.layout, options.count_padding));
}

// ---- global_average_pool ----------------------------------------------------------------------

namespace {

// Mean over the rows of one panel; sums of 256 rows are added up, so long images lose nothing.
template <class T>
GG_INLINE void panel_mean_of(const T* x, int64_t rows, int64_t stride, int64_t width, T* y,
                             int64_t y_width) {
  F32x16 total{}, v;
  for (int64_t first = 0; first < rows; first += 256) {
    F32x16 even{}, odd{};
    int64_t i = first;
    const int64_t last = std::min(rows, first + 256);
    for (; i + 2 <= last; i += 2) {
      lanes::load(v, x + i * stride, width);
      even += v;
      lanes::load(v, x + (i + 1) * stride, width);
      odd += v;
    }
    if (i < last) {
      lanes::load(v, x + i * stride, width);
      even += v;
    }
    total += even + odd;
  }
  lanes::store(y, total / static_cast<float>(rows), y_width);
}

// The same value into every row of one panel; lanes from y_width on are padding and become zero.
template <class T>
GG_INLINE void panel_spread_of(const T* dy, int64_t y_width, int64_t rows, int64_t stride,
                               int64_t width, T* dx) {
  F32x16 d;
  lanes::load(d, dy, y_width);
  d = d / static_cast<float>(rows);
  for (int64_t i = 0; i < rows; ++i) lanes::store(dx + i * stride, d, width);
}

GG_MULTIVERSION void panel_mean(const float* x, int64_t rows, int64_t stride, int64_t width,
                                float* y, int64_t y_width) {
  panel_mean_of(x, rows, stride, width, y, y_width);
}
GG_MULTIVERSION void panel_mean(const bf16* x, int64_t rows, int64_t stride, int64_t width, bf16* y,
                                int64_t y_width) {
  panel_mean_of(x, rows, stride, width, y, y_width);
}
GG_MULTIVERSION void panel_spread(const float* dy, int64_t y_width, int64_t rows, int64_t stride,
                                  int64_t width, float* dx) {
  panel_spread_of(dy, y_width, rows, stride, width, dx);
}
GG_MULTIVERSION void panel_spread(const bf16* dy, int64_t y_width, int64_t rows, int64_t stride,
                                  int64_t width, bf16* dx) {
  panel_spread_of(dy, y_width, rows, stride, width, dx);
}

// Calls body(pixels of the panel: offset, stride, width; offset and width in [N, C]) for each
// image and tile of 16 channels.
template <class Body>
void for_each_panel(const Shape& x, Layout layout, int threads, const Body& body) {
  const int64_t c = x[3], pixels = x[1] * x[2], tiles = (c + kLanes - 1) / kLanes;
  parallel_for(threads, x[0] * tiles, grain(pixels * kLanes), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t n = k / tiles, channel = k % tiles * kLanes;
      const int64_t width = std::min(kLanes, c - channel);
      if (layout == Layout::blocked16) {
        body(k * pixels * kLanes, kLanes, kLanes, n * c + channel, width);
      } else {
        body(n * pixels * c + channel, c, width, n * c + channel, width);
      }
    }
  });
}

class GlobalAveragePoolNode final : public Node {
 public:
  explicit GlobalAveragePoolNode(const Tensor& x) : shape_(x.shape), layout_(x.layout) {}
  const char* name() const override { return "global_average_pool"; }
  int64_t saved_bytes() const override { return 0; }
  OpFacts facts(Stream&, const std::vector<bool>&) const override {
    const auto values = static_cast<double>(shape_.size());
    return {.forward_ops = values, .backward_ops = values};
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy) override {
    const int64_t c = shape_[3], pixels = shape_[1] * shape_[2];
    Tensor dx = empty_like(dy, shape_, dy.dtype, layout_);
    switch (path_of(dy)) {
      case Path::reference:
        for (int64_t i = 0; i < dx.size(); ++i) {
          dx.at<double>(i) =
              dy.at<double>(i / (pixels * c) * c + i % c) / static_cast<double>(pixels);
        }
        break;
      case Path::cpu:
        with_cpu_type(dy, [&](auto t) {
          using T = decltype(t);
          for_each_panel(
              shape_, layout_, context.stream.threads(),
              [&](int64_t at, int64_t stride, int64_t width, int64_t y, int64_t y_width) {
                panel_spread(dy.data<T>() + y, y_width, pixels, stride, width, dx.data<T>() + at);
              });
        });
        break;
      case Path::cuda:
        kernels::global_average_gradients(context.stream.queue(), dy.dtype, shape_[0], pixels, c,
                                          dy.raw(), dx.raw());
        break;
    }
    return {dx};
  }

 private:
  Shape shape_;
  Layout layout_;
};

}  // namespace

Tensor global_average_pool(Tape& tape, const Tensor& x) {
  const OpRange range(tape, "global_average_pool");
  check_computable("global_average_pool", x);
  GG_CHECK(x.rank() == 4 && x.size() > 0,
           "global_average_pool: x must be [N, H, W, C] and not empty; got ", x.shape);
  const int64_t c = x.dim(3), pixels = x.dim(1) * x.dim(2);
  Tensor y = empty_like(x, {x.dim(0), c});
  switch (path_of(x)) {
    case Path::reference:
      fill_zero(y);
      for (int64_t i = 0; i < x.size(); ++i) {
        y.at<double>(i / (pixels * c) * c + i % c) += x.at<double>(i) / static_cast<double>(pixels);
      }
      break;
    case Path::cpu:
      with_cpu_type(x, [&](auto t) {
        using T = decltype(t);
        for_each_panel(
            x.shape, x.layout, tape.stream().threads(),
            [&](int64_t at, int64_t stride, int64_t width, int64_t out, int64_t out_width) {
              panel_mean(x.data<T>() + at, pixels, stride, width, y.data<T>() + out, out_width);
            });
      });
      break;
    case Path::cuda:
      kernels::global_average_values(tape.queue(), x.dtype, x.dim(0), pixels, c, x.raw(), y.raw());
      break;
  }
  return tape.record(y, {x}, GlobalAveragePoolNode(x));
}

// ---- cases ------------------------------------------------------------------------------------

namespace {

CaseRow average_row(std::string label, const Shape& x, AveragePoolOptions options,
                    Layout layout = Layout::nhwc, bool bench = false) {
  CaseRow r;
  r.label = std::move(label);
  r.inputs = {{.shape = x, .batch = true}};
  r.op = [options, layout](Tape& tape, const std::vector<Tensor>& in) {
    return average_pool(tape, in_case_layout(in[0], layout), options);
  };
  r.bench = bench;
  r.cost = {.bytes = 5.0 * static_cast<double>(x.size()), .ops = static_cast<double>(x.size())};
  return r;
}

CaseRow global_row(std::string label, const Shape& x, Layout layout = Layout::nhwc,
                   bool bench = false) {
  CaseRow r;
  r.label = std::move(label);
  r.inputs = {{.shape = x, .batch = true}};
  r.op = [layout](Tape& tape, const std::vector<Tensor>& in) {
    return global_average_pool(tape, in_case_layout(in[0], layout));
  };
  r.bench = bench;
  r.cost = {.bytes = 4.0 * static_cast<double>(x.size()), .ops = static_cast<double>(x.size())};
  return r;
}

const bool kAverageCase = register_case({
    .name = "average_pool",
    .rows =
        {
            average_row("2x2, odd sizes", {2, 5, 7, 3}, {}),
            average_row("size one", {1, 1, 1, 1}, {.kernel = 1, .stride = 1}),
            average_row("3x3, padding counts, 17 channels", {1, 4, 5, 17},
                        {.kernel = 3, .stride = 1, .pad = Padding::all(1)}),
            average_row("asymmetric padding does not count", {2, 5, 4, 2},
                        {.kernel = 3, .stride = 2, .pad = {1, 0, 0, 2}, .count_padding = false}),
            average_row("blocked", {2, 4, 6, 20}, {}, Layout::blocked16),
            average_row("28 x 28, 256: a transition of DenseNet-121", {32, 28, 28, 256}, {},
                        Layout::nhwc, true),
        },
    .f32_tolerance = 3e-7,
});

const bool kGlobalCase = register_case({
    .name = "global_average_pool",
    .rows =
        {
            global_row("odd sizes", {3, 3, 5, 7}),
            global_row("size one", {1, 1, 1, 1}),
            global_row("17 channels", {2, 4, 3, 17}),
            global_row("blocked, 20 channels", {2, 5, 3, 20}, Layout::blocked16),
            global_row("17 x 31, more rows than one sum takes", {2, 17, 31, 5}),
            global_row("10 x 10, 96", {32, 10, 10, 96}, Layout::nhwc, true),
        },
    // The mean of normal values nearly cancels; sums in pieces reach 3e-7 on such rows.
    .f32_tolerance = 2e-6,
});

}  // namespace
}  // namespace gliograd
