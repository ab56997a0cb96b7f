// Linear layer: f64 reference, CPU, backward node, entry, cases.
#include "engine/ops/linear.hpp"

#include "engine/autograd/op_range.hpp"
#include "engine/core/parallel.hpp"
#include "engine/core/simd.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/fused_relu.hpp"
#include "engine/ops/linear_cuda.hpp"
#include "engine/ops/path.hpp"
#include "kernels/cpu/product.hpp"

namespace gliograd {
namespace {

// ---- Reference --------------------------------------------------------------------------------

void forward_reference(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y) {
  const int64_t in = weight.dim(1), out = weight.dim(0);
  for (int64_t n = 0; n < x.dim(0); ++n)
    for (int64_t o = 0; o < out; ++o) {
      double sum = bias.defined() ? bias.at<double>(o) : 0.0;
      for (int64_t i = 0; i < in; ++i) {
        sum += weight.at<double>(o * in + i) * x.at<double>(n * in + i);
      }
      y.at<double>(n * out + o) = sum;
    }
}

// dx = dy W, dW = dy^T x, db = column sums of dy.
void backward_reference(const Tensor& x, const Tensor& weight, const Tensor& dy, Tensor& dx,
                        Tensor& dw, Tensor& db) {
  const int64_t in = weight.dim(1), out = weight.dim(0);
  for (Tensor* t : {&dx, &dw, &db}) {
    if (t->defined()) fill_zero(*t);
  }
  for (int64_t n = 0; n < x.dim(0); ++n)
    for (int64_t o = 0; o < out; ++o) {
      const double d = dy.at<double>(n * out + o);
      if (db.defined()) db.at<double>(o) += d;
      for (int64_t i = 0; i < in; ++i) {
        if (dx.defined()) dx.at<double>(n * in + i) += d * weight.at<double>(o * in + i);
        if (dw.defined()) dw.at<double>(o * in + i) += d * x.at<double>(n * in + i);
      }
    }
}

// ---- CPU --------------------------------------------------------------------------------------

// y[k] += x[k]
GG_MULTIVERSION void add_row(float* y, const float* x, int64_t n) {
  for (int64_t k = 0; k < n; ++k) y[k] += x[k];
}

using kernels::Product;

// Rows of `p` spread over the stream's threads; every sum is one thread's, so bits do not depend
// on their number.
void product_rows(Stream& stream, const Product& p) {
  parallel_for(stream.threads(), p.m, 16, [&](int64_t begin, int64_t end) {
    Product part = p;
    part.m = end - begin;
    part.a += begin * p.a_row;
    part.c += begin * p.c_row;
    kernels::product(kernels::product_kernel(), part);
  });
}

void forward_cpu(Stream& stream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                 Tensor& y) {
  if (x.dtype != DType::f32) {  // widened, and rounded once
    const auto wide = [&](const Tensor& t) {
      return t.defined() ? cast(t, DType::f32, stream.threads()) : t;
    };
    Tensor sums = empty(stream, y.shape);
    forward_cpu(stream, wide(x), wide(weight), wide(bias), sums);
    return copy_into(y, sums, stream.threads());
  }
  const kernels::ProductKernel& kernel = kernels::product_kernel();
  const int64_t in = weight.dim(1), out = weight.dim(0), panel = kernel.panel(out);
  const auto pack = [&] {
    Tensor t = empty(stream, {kernels::packed_size(kernel, in, out)});
    kernels::pack(kernel, weight.data<float>(), 1, in, in, out, t.data<float>());
    return t;
  };
  const Tensor packed = weight.parameter ? weight.parameter->cached(
                                               concat_text("linear:forward:", weight.shape), pack)
                                         : pack();
  product_rows(stream, {.m = x.dim(0),
                        .n = out,
                        .inner = in,
                        .a = x.data<float>(),
                        .a_row = in,
                        .b = packed.data<float>(),
                        .b_k = panel,
                        .b_panel = in * panel,
                        .c = y.data<float>(),
                        .c_row = out,
                        .start = bias.defined() ? bias.data<float>() : nullptr});
}

// The right operands lie as they are needed: rows of the weights for dx, rows of x for dw.
void backward_cpu(Stream& stream, const Tensor& x, const Tensor& weight, const Tensor& dy,
                  Tensor& dx, Tensor& dw, Tensor& db) {
  if (x.dtype != DType::f32) {  // dw and db are f32 in any case
    const auto wide = [&](const Tensor& t) { return cast(t, DType::f32, stream.threads()); };
    Tensor sums = dx.defined() ? empty(stream, dx.shape) : Tensor{};
    backward_cpu(stream, wide(x), wide(weight), wide(dy), sums, dw, db);
    if (dx.defined()) copy_into(dx, sums, stream.threads());
    return;
  }
  const int64_t n = x.dim(0), in = weight.dim(1), out = weight.dim(0);
  const int64_t panel = kernels::product_kernel().panel(in);
  const float* dys = dy.data<float>();
  if (dx.defined()) {
    product_rows(stream, {.m = n,
                          .n = in,
                          .inner = out,
                          .a = dys,
                          .a_row = out,
                          .b = weight.data<float>(),
                          .b_k = in,
                          .b_panel = panel,
                          .c = dx.data<float>(),
                          .c_row = in});
  }
  if (dw.defined()) {
    product_rows(stream, {.m = out,
                          .n = in,
                          .inner = n,
                          .a = dys,
                          .a_row = 1,
                          .a_k = out,
                          .b = x.data<float>(),
                          .b_k = in,
                          .b_panel = panel,
                          .c = dw.data<float>(),
                          .c_row = in});
  }
  if (db.defined()) {
    fill_zero(db);
    for (int64_t i = 0; i < n; ++i) add_row(db.data<float>(), dys + i * out, out);
  }
}

// ---- Node -------------------------------------------------------------------------------------

class LinearNode final : public Node {
 public:
  LinearNode(Tensor x, Tensor weight, bool bias)
      : x_(std::move(x)), weight_(std::move(weight)), bias_(bias) {}
  const char* name() const override { return "linear"; }
  int64_t saved_bytes() const override { return x_.bytes() + weight_.bytes(); }
  OpFacts facts(Stream&, const std::vector<bool>& needs) const override {
    const double ops = 2.0 * static_cast<double>(x_.dim(0) * weight_.size());
    return {.forward_ops = ops, .backward_ops = ops * (needs[0] + needs[1])};
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy) override {
    Tensor dx, dw, db;
    if (context.needs[0]) dx = empty_like(x_);
    const DType sums = sum_type(x_.dtype);
    if (context.needs[1]) dw = empty_like(weight_, weight_.shape, sums);
    if (bias_ && context.needs[2]) db = empty_like(weight_, Shape{weight_.dim(0)}, sums);
    switch (path_of(x_)) {
      case Path::reference: backward_reference(x_, weight_, dy, dx, dw, db); break;
      case Path::cpu: backward_cpu(context.stream, x_, weight_, dy, dx, dw, db); break;
      case Path::cuda: linear_cuda::backward(context.stream, x_, weight_, dy, dx, dw, db); break;
    }
    if (!bias_) return {dx, dw};
    return {dx, dw, db};
  }

 private:
  Tensor x_, weight_;
  bool bias_;
};

}  // namespace

// ---- Entry ------------------------------------------------------------------------------------

Tensor linear(Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& bias,
              Activation activation) {
  const OpRange range(tape, "linear");
  GG_CHECK(x.defined() && x.rank() == 2, "linear: x must be [N, in]; got ", x.shape);
  GG_CHECK(weight.defined() && weight.rank() == 2, "linear: weight must be [out, in]; got ",
           weight.shape);
  GG_CHECK(x.size() > 0 && weight.size() > 0, "linear: nothing to compute: x ", x.shape,
           ", weight ", weight.shape);
  check_computable("linear", x);
  GG_CHECK(weight.dtype == x.dtype, "linear: weight must be ", x.dtype, " as x is; got ",
           weight.dtype);
  GG_CHECK(weight.dim(1) == x.dim(1), "linear: weight must be [out, ", x.dim(1),
           "], one column per value of a row of x ", x.shape, "; got ", weight.shape);
  if (bias.defined()) {
    GG_CHECK(bias.shape == Shape{weight.dim(0)}, "linear: bias must be ", Shape{weight.dim(0)},
             ", one value per row of weight ", weight.shape, "; got ", bias.shape);
    GG_CHECK(bias.dtype == x.dtype, "linear: bias must be ", x.dtype, " as x is; got ", bias.dtype);
  }
  GG_CHECK(activation == Activation::none || activation == Activation::relu,
           "linear: the activation must be none or relu");
  const bool relu = activation == Activation::relu;
  Stream& stream = tape.stream();
  Tensor y = empty_like(x, {x.dim(0), weight.dim(0)});
  switch (path_of(x)) {
    case Path::reference: forward_reference(x, weight, bias, y); break;
    case Path::cpu: forward_cpu(stream, x, weight, bias, y); break;
    case Path::cuda: linear_cuda::forward(stream, x, weight, bias, relu, y); break;
  }
  if (relu && path_of(x) != Path::cuda) apply_relu(stream, y);
  std::vector<Tensor> inputs = {x, weight};
  if (bias.defined()) inputs.push_back(bias);
  y = tape.record(std::move(y), std::move(inputs), LinearNode(x, weight, bias.defined()));
  return relu ? record_relu(tape, y) : y;
}

// ---- Cases ------------------------------------------------------------------------------------

namespace {

CaseRow row(const std::string& label, int64_t n, int64_t in, int64_t out, bool bias,
            Activation activation = Activation::none) {
  CaseRow r{.label = label,
            .inputs = {{.shape = {n, in}, .batch = true}, {.shape = {out, in}}},
            .op = [activation](Tape& tape, const std::vector<Tensor>& inputs) {
              return linear(tape, inputs[0], inputs[1], inputs.size() > 2 ? inputs[2] : Tensor{},
                            activation);
            }};
  if (bias) r.inputs.push_back({.shape = {out}});
  return r;
}

CaseRow bench_row(const std::string& label, int64_t n, int64_t in, int64_t out) {
  CaseRow r = row(label, n, in, out, true);
  r.bench = true;
  r.cost = {.bytes = 4.0 * (n * in + out * in + n * out), .ops = 2.0 * n * in * out};
  return r;
}

// Sums of up to 2,048 products: blocked or vector sums reach 6e-7, one running f32 sum 5e-6.
const bool kCase = register_case({
    .name = "linear",
    .rows = {row("odd sizes", 3, 7, 5, true), row("size one", 1, 1, 1, false),
             row("no bias", 17, 33, 2, false), row("rows of whole 16 bytes", 5, 24, 16, true),
             row("the same, no bias", 9, 8, 40, false),
             row("ReLU, odd sizes", 6, 7, 5, true, Activation::relu),
             row("ReLU, rows of whole 16 bytes", 5, 24, 16, true, Activation::relu),
             row("ReLU, no bias", 9, 8, 16, false, Activation::relu),
             bench_row("ResNet-50's head", 32, 2048, 1000)},
    .f32_tolerance = 3e-6,
});

}  // namespace
}  // namespace gliograd
