// Element-wise ops: what every row of the table (kernels/elementwise.hpp) shares (reference, CPU,
// backward node, entry, case), then the sum of two tensors.
#include "engine/ops/elementwise.hpp"

#include <tuple>
#include <utility>

#include "engine/autograd/op_range.hpp"
#include "engine/core/parallel.hpp"
#include "engine/core/simd.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/fused_relu.hpp"
#include "engine/ops/panels.hpp"
#include "engine/ops/path.hpp"
#include "engine/tensor/layout.hpp"
#include "kernels/elementwise.hpp"

namespace gliograd {
namespace {

using kernels::elementwise::LeakyRelu;
using kernels::elementwise::Relu;
using kernels::elementwise::row_of;
using kernels::elementwise::Rows;
using kernels::elementwise::Sigmoid;
using kernels::elementwise::Table;

// ---- paths: one loop for all rows -------------------------------------------------------------

template <class Row, class S, class T>
GG_INLINE void value_loop(const S* x, S* y, int64_t n, T p) {
  for (int64_t i = 0; i < n; ++i) put(y[i], Row::value(value_of(x[i]), p));
}

template <class Row, class S, class T>
GG_INLINE void gradient_loop(const S* dy, const S* y, S* dx, int64_t n, T p) {
  for (int64_t i = 0; i < n; ++i) put(dx[i], Row::gradient(value_of(dy[i]), value_of(y[i]), p));
}

template <class S, class T, int... kRow>
GG_INLINE void values_of(std::integer_sequence<int, kRow...>, int row, const S* x, S* y, int64_t n,
                         T p) {
  ((row == kRow ? value_loop<std::tuple_element_t<kRow, Table>>(x, y, n, p) : void()), ...);
}

template <class S, class T, int... kRow>
GG_INLINE void gradients_of(std::integer_sequence<int, kRow...>, int row, const S* dy, const S* y,
                            S* dx, int64_t n, T p) {
  ((row == kRow ? gradient_loop<std::tuple_element_t<kRow, Table>>(dy, y, dx, n, p) : void()), ...);
}

// Of each a function for f32 and one for bf16.

GG_MULTIVERSION void values_cpu(int row, const float* x, float* y, int64_t n, float p) {
  values_of(Rows{}, row, x, y, n, p);
}
GG_MULTIVERSION void values_cpu(int row, const bf16* x, bf16* y, int64_t n, float p) {
  values_of(Rows{}, row, x, y, n, p);
}

GG_MULTIVERSION void gradients_cpu(int row, const float* dy, const float* y, float* dx, int64_t n,
                                   float p) {
  gradients_of(Rows{}, row, dy, y, dx, n, p);
}
GG_MULTIVERSION void gradients_cpu(int row, const bf16* dy, const bf16* y, bf16* dx, int64_t n,
                                   float p) {
  gradients_of(Rows{}, row, dy, y, dx, n, p);
}

GG_MULTIVERSION void sums_cpu(const float* a, const float* b, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}
GG_MULTIVERSION void sums_cpu(const bf16* a, const bf16* b, bf16* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) put(y[i], value_of(a[i]) + value_of(b[i]));
}

constexpr int64_t kGrain = 1 << 15;

int64_t memory_size(const Tensor& x) { return storage_size(x.shape, x.layout); }

// Padding of a blocked tensor must stay zero; a row whose value at 0 is not 0 is not applied to it.
bool keeps_padding(int row) { return row != row_of<Sigmoid>(); }

class ElementwiseNode final : public Node {
 public:
  ElementwiseNode(int row, const char* name, Tensor y, double parameter)
      : row_(row), name_(name), y_(std::move(y)), parameter_(parameter) {}
  const char* name() const override { return name_; }
  int64_t saved_bytes() const override { return y_.bytes(); }
  OpFacts facts(Stream&, const std::vector<bool>&) const override {
    const auto values = static_cast<double>(y_.size());
    return {.forward_ops = values, .backward_ops = values};
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy_any) override {
    const bool own = may_overwrite(dy_any, y_.layout);
    const Tensor dy = to_layout(dy_any, y_.layout);
    Tensor dx = own ? dy.detached() : empty_like(dy);
    switch (path_of(dy)) {
      case Path::reference:
        gradients_of(Rows{}, row_, dy.data<double>(), y_.data<double>(), dx.data<double>(),
                     dy.size(), parameter_);
        break;
      case Path::cpu:
        with_cpu_type(dy, [&](auto t) {
          using T = decltype(t);
          parallel_for(
              context.stream.threads(), memory_size(dy), kGrain, [&](int64_t begin, int64_t end) {
                gradients_cpu(row_, dy.data<T>() + begin, y_.data<T>() + begin,
                              dx.data<T>() + begin, end - begin, static_cast<float>(parameter_));
              });
        });
        break;
      case Path::cuda:
        kernels::elementwise_gradients(context.stream.queue(), row_, dy.dtype, dy.raw(), y_.raw(),
                                       dx.raw(), dy.size(), static_cast<float>(parameter_));
        break;
    }
    return {dx};
  }

 private:
  int row_;
  const char* name_;
  Tensor y_;
  double parameter_;
};

// y may be x.
void compute(Stream& stream, int row, const Tensor& x, Tensor& y, double parameter) {
  switch (path_of(x)) {
    case Path::reference:
      values_of(Rows{}, row, x.data<double>(), y.data<double>(), x.size(), parameter);
      break;
    case Path::cpu:
      with_cpu_type(x, [&](auto t) {
        using T = decltype(t);
        parallel_for(stream.threads(), memory_size(x), kGrain, [&](int64_t begin, int64_t end) {
          values_cpu(row, x.data<T>() + begin, y.data<T>() + begin, end - begin,
                     static_cast<float>(parameter));
        });
      });
      break;
    case Path::cuda:
      kernels::elementwise_values(stream.queue(), row, x.dtype, x.raw(), y.raw(), x.size(),
                                  static_cast<float>(parameter));
      break;
  }
}

template <class Row>
Tensor elementwise(Tape& tape, const Tensor& any, double parameter = 0) {
  constexpr int kRow = row_of<Row>();
  const OpRange range(tape, Row::kName);
  check_computable(Row::kName, any);
  const Tensor x = keeps_padding(kRow) ? any : to_layout(any, Layout::nhwc);
  Tensor y = empty_like(x);
  compute(tape.stream(), kRow, x, y, parameter);
  return tape.record(y, {any}, ElementwiseNode(kRow, Row::kName, y, parameter));
}

class AddNode final : public Node {
 public:
  const char* name() const override { return "add"; }
  int64_t saved_bytes() const override { return 0; }
  std::vector<Tensor> backward(BackwardContext&, const Tensor& dy) override {
    return {dy.detached(), dy.detached()};
  }
};

}  // namespace

// ---- entries ----------------------------------------------------------------------------------

Tensor relu(Tape& tape, const Tensor& x) { return elementwise<Relu>(tape, x); }

void apply_relu(Stream& stream, Tensor& y) { compute(stream, row_of<Relu>(), y, y, 0); }

Tensor record_relu(Tape& tape, const Tensor& recorded) {
  const Tensor y = recorded.detached();
  return tape.record(y, {recorded}, ElementwiseNode(row_of<Relu>(), Relu::kName, y, 0));
}

Tensor leaky_relu(Tape& tape, const Tensor& x, double slope) {
  GG_CHECK(slope >= 0, "leaky_relu: slope must not be negative; got ", slope);
  return elementwise<LeakyRelu>(tape, x, slope);
}

Tensor sigmoid(Tape& tape, const Tensor& x) { return elementwise<Sigmoid>(tape, x); }

Tensor add(Tape& tape, const Tensor& a, const Tensor& b_any) {
  const OpRange range(tape, "add");
  check_computable("add", a);
  GG_CHECK(b_any.defined() && a.shape == b_any.shape && a.dtype == b_any.dtype,
           "add: both must have one shape and type; got ", a.dtype, ' ', a.shape, " and ",
           b_any.dtype, ' ', b_any.shape);
  const Tensor b = to_layout(b_any, a.layout);
  Tensor y = empty_like(a);
  switch (path_of(a)) {
    case Path::reference:
      for (int64_t i = 0; i < a.size(); ++i) {
        y.at<double>(i) = a.at<double>(i) + b.at<double>(i);
      }
      break;
    case Path::cpu:
      with_cpu_type(a, [&](auto t) {
        using T = decltype(t);
        parallel_for(
            tape.stream().threads(), memory_size(a), kGrain, [&](int64_t begin, int64_t end) {
              sums_cpu(a.data<T>() + begin, b.data<T>() + begin, y.data<T>() + begin, end - begin);
            });
      });
      break;
    case Path::cuda:
      kernels::elementwise_sums(tape.queue(), a.dtype, a.raw(), b.raw(), y.raw(), a.size());
      break;
  }
  return tape.record(y, {a, b_any}, AddNode());
}

// ---- cases ------------------------------------------------------------------------------------

namespace {

// The rows of every op of one argument. Grid values, so that none is at a kink.
bool register_row(const std::string& name, Tensor (*op)(Tape&, const Tensor&),
                  double roundoffs = 1) {
  const auto make = [&](std::string label, const Shape& shape, Layout layout, bool bench) {
    CaseRow r;
    r.label = std::move(label);
    r.inputs = {{.shape = shape, .fill = CaseInput::Fill::distinct, .batch = true}};
    r.op = [op, layout](Tape& tape, const std::vector<Tensor>& in) {
      return op(tape, in_case_layout(in[0], layout));
    };
    r.bench = bench;
    r.cost = {.bytes = 8.0 * static_cast<double>(shape.size()),
              .ops = static_cast<double>(shape.size())};
    return r;
  };
  return register_case(
      {.name = name,
       .rows = {make("odd sizes", {2, 3, 5, 7}, Layout::nhwc, false),
                make("size one", {1}, Layout::nhwc, false),
                make("blocked, 20 channels", {1, 3, 3, 20}, Layout::blocked16, false),
                make("40 x 40, 32", {32, 40, 40, 32}, Layout::nhwc, true)},
       .f32_tolerance = 3e-7,
       .roundoffs = roundoffs});
}

const bool kReluCase = register_row("relu", relu);
const bool kLeakyReluCase = register_row(
    "leaky_relu", [](Tape& tape, const Tensor& x) { return leaky_relu(tape, x, 0.2); });
// Its derivative y (1 - y) is taken from a y that was rounded.
const bool kSigmoidCase = register_row("sigmoid", sigmoid, 2);

CaseRow add_row(std::string label, const Shape& shape, bool mixed = false, bool bench = false) {
  CaseRow r;
  r.label = std::move(label);
  r.inputs = {{.shape = shape, .batch = true}, {.shape = shape, .batch = true}};
  r.op = [mixed](Tape& tape, const std::vector<Tensor>& in) {
    return add(tape, mixed ? in_case_layout(in[0], Layout::blocked16) : in[0], in[1]);
  };
  r.bench = bench;
  r.cost = {.bytes = 12.0 * static_cast<double>(shape.size()),
            .ops = static_cast<double>(shape.size())};
  return r;
}

const bool kAddCase = register_case({
    .name = "add",
    .rows = {add_row("odd sizes", {2, 3, 5, 7}), add_row("size one", {1}),
             add_row("two layouts", {2, 3, 2, 18}, true),
             add_row("40 x 40, 32", {32, 40, 40, 32}, false, true)},
    .f32_tolerance = 2e-7,
});

}  // namespace
}  // namespace gliograd
