// Convolution: checks, f64 reference, backward node, entry, cases. The CPU's choice of an algorithm
// stands in conv_cpu.cpp.
#include "engine/ops/conv.hpp"

#include <algorithm>

#include "engine/autograd/op_range.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/conv_paths.hpp"
#include "engine/ops/path.hpp"
#include "engine/tensor/layout.hpp"

namespace gliograd {
namespace conv_paths {

Geometry geometry_of(const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const ConvOptions& o) {
  GG_CHECK(x.defined() && x.rank() == 4, "conv: x must be [N, H, W, Cin]; got ", x.shape);
  GG_CHECK(weight.defined() && weight.rank() == 4,
           "conv: weight must be [Cout, kh, kw, Cin / groups]; got ", weight.shape);
  GG_CHECK(x.size() > 0 && weight.size() > 0, "conv: nothing to compute: x ", x.shape, ", weight ",
           weight.shape);
  check_computable("conv", x);
  GG_CHECK(weight.dtype == x.dtype, "conv: weight must be ", x.dtype, " as x is; got ",
           weight.dtype);
  GG_CHECK(o.stride >= 1, "conv: stride must be at least 1; got ", o.stride);
  GG_CHECK(o.dilation >= 1, "conv: dilation must be at least 1; got ", o.dilation);
  GG_CHECK(o.groups >= 1, "conv: groups must be at least 1; got ", o.groups);
  GG_CHECK(o.pad.top >= 0 && o.pad.bottom >= 0 && o.pad.left >= 0 && o.pad.right >= 0,
           "conv: paddings must not be negative; got ", o.pad);
  // Sums of these and of image sizes stay far from the limits of 64 bits.
  const int64_t most =
      std::max({o.stride, o.dilation, o.groups, o.pad.top, o.pad.bottom, o.pad.left, o.pad.right});
  GG_CHECK(most <= int64_t{1} << 30, "conv: stride, dilation, groups and paddings must be at most ",
           int64_t{1} << 30, "; got ", most);
  Geometry g{};
  g.n = x.dim(0), g.h = x.dim(1), g.w = x.dim(2), g.ci = x.dim(3);
  g.co = weight.dim(0), g.kh = weight.dim(1), g.kw = weight.dim(2);
  g.stride = o.stride, g.dilation = o.dilation, g.groups = o.groups, g.pad = o.pad;
  GG_CHECK(g.ci % g.groups == 0 && g.co % g.groups == 0, "conv: ", g.groups,
           " groups must divide both the ", g.ci, " channels of x ", x.shape, " and the ", g.co,
           " of weight ", weight.shape);
  GG_CHECK(weight.dim(3) == g.cg(), "conv: weight must be [", g.co, ", ", g.kh, ", ", g.kw, ", ",
           g.cg(), "], ", g.ci, " channels of x ", x.shape, " in ", g.groups, " groups; got ",
           weight.shape);
  if (bias.defined()) {
    GG_CHECK(bias.shape == Shape{g.co}, "conv: bias must be ", Shape{g.co},
             ", one value per output channel of weight ", weight.shape, "; got ", bias.shape);
    GG_CHECK(bias.dtype == x.dtype, "conv: bias must be ", x.dtype, " as x is; got ", bias.dtype);
  }
  const int64_t window_h = g.dilation * (g.kh - 1) + 1, padded_h = g.h + g.pad.top + g.pad.bottom;
  const int64_t window_w = g.dilation * (g.kw - 1) + 1, padded_w = g.w + g.pad.left + g.pad.right;
  GG_CHECK(window_h <= padded_h && window_w <= padded_w, "conv: a window of ", window_h, " x ",
           window_w, " (weight ", weight.shape, ", dilation ", g.dilation,
           ") does not fit the padded image of ", padded_h, " x ", padded_w, " (x ", x.shape,
           ", padding ", g.pad, ")");
  g.ho = (padded_h - window_h) / g.stride + 1;
  g.wo = (padded_w - window_w) / g.stride + 1;
  return g;
}

}  // namespace conv_paths

namespace {

using conv_paths::Choice;
using conv_paths::Geometry;
using conv_paths::layout_of;

// ---- Reference: the formula, one sum per value, in f64. --------------------------------------

// Calls f(n, i, j, o, index of y, index of x, index of weight) for every product that the formula
// names; products with the zeros around the image are left out.
template <class F>
void for_each_product(const Geometry& g, const F& f) {
  const int64_t cg = g.cg();
  for (int64_t n = 0; n < g.n; ++n)
    for (int64_t i = 0; i < g.ho; ++i)
      for (int64_t j = 0; j < g.wo; ++j)
        for (int64_t o = 0; o < g.co; ++o)
          for (int64_t r = 0; r < g.kh; ++r)
            for (int64_t s = 0; s < g.kw; ++s) {
              const int64_t row = i * g.stride - g.pad.top + r * g.dilation;
              const int64_t col = j * g.stride - g.pad.left + s * g.dilation;
              if (row < 0 || row >= g.h || col < 0 || col >= g.w) continue;
              for (int64_t c = 0; c < cg; ++c) {
                f(((n * g.ho + i) * g.wo + j) * g.co + o,
                  ((n * g.h + row) * g.w + col) * g.ci + o / g.og() * cg + c,
                  ((o * g.kh + r) * g.kw + s) * cg + c);
              }
            }
}

void forward_reference(const Geometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       Tensor& y) {
  double* ys = y.data<double>();
  const double *xs = x.data<double>(), *ws = weight.data<double>();
  for (int64_t k = 0; k < y.size(); ++k) ys[k] = bias.defined() ? bias.at<double>(k % g.co) : 0.0;
  for_each_product(g, [&](int64_t iy, int64_t ix, int64_t iw) { ys[iy] += xs[ix] * ws[iw]; });
}

// y is linear in each: dx gathers dy * weight, dw gathers dy * x over the same products, db sums
// dy.
void backward_reference(const Geometry& g, const Tensor& x, const Tensor& weight, const Tensor& dy,
                        Tensor& dx, Tensor& dw, Tensor& db) {
  const double *xs = x.data<double>(), *ws = weight.data<double>(), *dys = dy.data<double>();
  if (dx.defined()) {
    fill_zero(dx);
    double* out = dx.data<double>();
    for_each_product(g, [&](int64_t iy, int64_t ix, int64_t iw) { out[ix] += dys[iy] * ws[iw]; });
  }
  if (dw.defined()) {
    fill_zero(dw);
    double* out = dw.data<double>();
    for_each_product(g, [&](int64_t iy, int64_t ix, int64_t iw) { out[iw] += dys[iy] * xs[ix]; });
  }
  if (db.defined()) {
    fill_zero(db);
    for (int64_t k = 0; k < dy.size(); ++k) db.at<double>(k % g.co) += dys[k];
  }
}

// ---- Node -------------------------------------------------------------------------------------

class ConvNode final : public Node {
 public:
  // `x` in the layout that the weights' gradient wants, `layout` the one it came in.
  ConvNode(const Geometry& g, const Choice& choice, Tensor x, Layout layout, Tensor weight,
           bool bias)
      : g_(g),
        choice_(choice),
        x_(std::move(x)),
        layout_(layout),
        weight_(std::move(weight)),
        bias_(bias) {}
  const char* name() const override { return "conv"; }
  int64_t saved_bytes() const override { return x_.bytes() + weight_.bytes(); }
  OpFacts facts(Stream& stream, const std::vector<bool>& needs) const override {
    OpFacts facts{.forward_ops = g_.ops(), .backward_ops = g_.ops() * (needs[0] + needs[1])};
    if (path_of(x_) != Path::cpu) return facts;
    using namespace conv_paths;
    facts.forward_by = computed_by(stream, g_, x_.dtype, choice_.forward, Pass::forward);
    facts.backward_by = computed_by(stream, g_, x_.dtype, choice_.weights, Pass::weights);
    if (needs[0]) {
      const std::string data = computed_by(stream, g_, x_.dtype, choice_.data, Pass::data);
      if (data != facts.backward_by) facts.backward_by = data + "; " + facts.backward_by;
    }
    return facts;
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy) override {
    Stream& stream = context.stream;
    Tensor dx, dw, db;
    if (context.needs[0]) dx = empty(stream, x_.shape, x_.dtype, layout_);
    const DType sums = sum_type(x_.dtype);
    if (context.needs[1]) dw = empty(stream, weight_.shape, sums);
    if (bias_ && context.needs[2]) db = empty(stream, Shape{g_.co}, sums);
    switch (path_of(x_)) {
      case Path::reference: backward_reference(g_, x_, weight_, dy, dx, dw, db); break;
      case Path::cpu: backward_cpu(stream, dy, dx, dw, db); break;
      case Path::cuda: conv_paths::backward_cuda(stream, g_, x_, weight_, dy, dx, dw, db); break;
    }
    if (!bias_) return {dx, dw};
    return {dx, dw, db};
  }

 private:
  void backward_cpu(Stream& stream, const Tensor& dy, Tensor& dx, Tensor& dw, Tensor& db) const {
    using namespace conv_paths;
    // In the layout of both passes at once, where they agree, as they nearly always do.
    const Tensor d = to_layout(dy, layout_of(choice_.weights), stream.threads());
    if (dx.defined()) backward_data_cpu(stream, choice_.data, g_, d, weight_, dx);
    if (dw.defined()) backward_weights_cpu(stream, choice_.weights, g_, d, x_, dw);
    if (db.defined()) {
      const int threads = stream.threads();
      const Tensor plain = to_layout(dy, Layout::nhwc, threads);
      backward_bias_own(stream, g_, cast(plain, DType::f32, threads), db);
    }
  }

  Geometry g_;
  Choice choice_;
  Tensor x_;
  Layout layout_;
  Tensor weight_;
  bool bias_;
};

}  // namespace

// ---- Entry ------------------------------------------------------------------------------------

Tensor conv(Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& bias,
            const ConvOptions& options) {
  const OpRange range(tape, "conv");
  const Geometry g = conv_paths::geometry_of(x, weight, bias, options);
  Stream& stream = tape.stream();
  const bool on_cpu = path_of(x) == Path::cpu;
  const Choice choice = on_cpu ? conv_paths::choose(stream, g, x.dtype, x.layout) : Choice{};
  Tensor y = empty(stream, {g.n, g.ho, g.wo, g.co}, x.dtype,
                   on_cpu ? layout_of(choice.forward) : Layout::nhwc);
  Tensor in = x, kept = x;
  switch (path_of(x)) {
    case Path::reference: forward_reference(g, x, weight, bias, y); break;
    case Path::cpu:
      in = to_layout(x, layout_of(choice.forward), stream.threads());
      if (layout_of(choice.weights) == in.layout) kept = in;
      conv_paths::forward_cpu(stream, choice.forward, g, in, weight, bias, y);
      break;
    case Path::cuda: conv_paths::forward_cuda(stream, g, x, weight, bias, y); break;
  }
  std::vector<Tensor> inputs = {x, weight};
  if (bias.defined()) inputs.push_back(bias);
  return tape.record(std::move(y), std::move(inputs),
                     ConvNode(g, choice, kept, x.layout, weight, bias.defined()));
}

// ---- Cases ------------------------------------------------------------------------------------

namespace {

CaseRow row(const std::string& label, const Shape& x, const Shape& weight, bool bias,
            const ConvOptions& options) {
  CaseRow r{.label = label,
            .inputs = {{.shape = x, .batch = true}, {.shape = weight}},
            .op = [options](Tape& tape, const std::vector<Tensor>& in) {
              return conv(tape, in[0], in[1], in.size() > 2 ? in[2] : Tensor{}, options);
            }};
  if (bias) r.inputs.push_back({.shape = {weight[0]}});
  return r;
}

CaseRow bench_row(const std::string& label, const Shape& x, const Shape& weight,
                  const ConvOptions& options) {
  CaseRow r = row(label, x, weight, false, options);
  r.bench = true;
  const int64_t pixels = x.size() / x[3];  // of x, and of y at stride 1 with "same" padding
  const double floats = static_cast<double>(x.size() + weight.size() + pixels * weight[0]);
  r.cost = {.bytes = 4 * floats, .ops = 2.0 * static_cast<double>(pixels * weight.size())};
  return r;
}

std::vector<CaseRow> rows() {
  const ConvOptions same{.pad = Padding::all(1)};  // of a 3 x 3 window
  return {
      row("3x3, padding 1, odd sizes", {2, 7, 5, 3}, {5, 3, 3, 3}, true, same),
      row("1x1", {2, 3, 4, 5}, {3, 1, 1, 5}, true, {}),
      row("size one", {1, 1, 1, 1}, {1, 1, 1, 1}, false, {}),
      row("stride 2, asymmetric padding", {2, 8, 7, 4}, {6, 3, 3, 4}, false,
          {.stride = 2, .pad = {0, 1, 2, 0}}),
      row("stride 3 leaves pixels out", {1, 9, 8, 2}, {3, 2, 2, 2}, false, {.stride = 3}),
      row("dilation 2", {1, 8, 9, 3}, {2, 3, 3, 3}, true, {.pad = Padding::all(2), .dilation = 2}),
      row("2 groups", {2, 5, 6, 6}, {4, 3, 3, 3}, true, {.pad = Padding::all(1), .groups = 2}),
      row("depthwise", {2, 6, 5, 7}, {7, 3, 3, 1}, true, {.pad = Padding::all(1), .groups = 7}),
      row("depthwise, 24 channels", {2, 7, 6, 24}, {24, 3, 3, 1}, true,
          {.pad = Padding::all(1), .groups = 24}),
      row("depthwise, stride 2, two outputs a channel", {1, 7, 8, 3}, {6, 3, 3, 1}, false,
          {.stride = 2, .pad = Padding::all(1), .groups = 3}),
      row("depthwise, 19 channels, dilation 2, stride 2", {3, 8, 9, 19}, {19, 3, 2, 1}, true,
          {.stride = 2, .pad = {2, 1, 0, 3}, .dilation = 2, .groups = 19}),
      row("17 channels, even kernel", {1, 6, 6, 17}, {18, 4, 2, 17}, false, {.pad = {2, 1, 1, 0}}),
      row("8 to 16 channels with a bias", {2, 5, 7, 8}, {16, 3, 3, 8}, true, same),
      row("24 to 8 channels with a bias, stride 2", {1, 6, 5, 24}, {8, 3, 2, 24}, true,
          {.stride = 2}),
      bench_row("80 x 80, 4 to 16", {32, 80, 80, 4}, {16, 3, 3, 4}, same),
      bench_row("40 x 40, 16 to 32", {32, 40, 40, 16}, {32, 3, 3, 16}, same),
      bench_row("20 x 20, 32 to 64", {32, 20, 20, 32}, {64, 3, 3, 32}, same),
      bench_row("10 x 10, 64 to 96", {32, 10, 10, 64}, {96, 3, 3, 64}, same),
      bench_row("28 x 28, depthwise, 192: a block of MobileNetV2", {32, 28, 28, 192},
                {192, 3, 3, 1}, {.pad = Padding::all(1), .groups = 192}),
  };
}

// Sums of up to 9 * 96 products: blocked or vector sums reach 1e-6, one running f32 sum over all
// pixels (the weights' gradient of the 80 x 80 layer) 2e-5; Winograd reaches 2.3e-6.
const bool kCase = register_case({.name = "conv", .rows = rows(), .f32_tolerance = 4e-6});

}  // namespace
}  // namespace gliograd
