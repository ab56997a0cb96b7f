// Sigmoid cross-entropy: reference, CPU, backward node, entry, case.
//
// Gradient, with M values and q = sigmoid(x):
//   dx = dloss * v / M * ((1 - t) * q - p * t * (1 - q)).
// The kernels of the GPU path: kernels/gpu/sigmoid_cross_entropy.cu.
#include "engine/ops/sigmoid_cross_entropy.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

#include "engine/autograd/op_range.hpp"
#include "engine/core/parallel.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/path.hpp"
#include "engine/tensor/layout.hpp"
#include "kernels/sigmoid_cross_entropy.hpp"

namespace gliograd {
namespace {

constexpr int64_t kChunk = 1 << 14;  // values of one partial sum of the loss

// Inputs of one call. Value i belongs to row i / K and output i % K.
struct Terms {
  Tensor x, targets, pos_weight, sample_weights;  // the weights may be undefined
  int64_t k_count;

  template <class T>
  T weight(int64_t i) const {
    return sample_weights.defined() ? sample_weights.at<T>(i / k_count) : T(1);
  }
  template <class T>
  T positive(int64_t i) const {
    return pos_weight.defined() ? pos_weight.at<T>(i % k_count) : T(1);
  }
};

double loss_reference(const Terms& a) {
  double sum = 0;
  for (int64_t i = 0; i < a.x.size(); ++i) {
    const double x = a.x.at<double>(i), t = a.targets.at<double>(i);
    // -log q = log(1 + e^-x) and -log(1 - q) = log(1 + e^x), either way round without overflow.
    const double tail = std::log1p(std::exp(-std::abs(x)));
    const double not_q = tail + std::max(x, 0.0), q = tail + std::max(-x, 0.0);
    sum += a.weight<double>(i) * (a.positive<double>(i) * t * q + (1 - t) * not_q);
  }
  return sum / static_cast<double>(a.x.size());
}

double loss_cpu(const Terms& a, int threads) {
  const int64_t n = a.x.size(), chunks = (n + kChunk - 1) / kChunk;
  const Tensor partial = empty_like(a.x, {chunks}, DType::f64);
  parallel_for(threads, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      double sum = 0;
      for (int64_t i = chunk * kChunk; i < std::min(n, (chunk + 1) * kChunk); ++i) {
        const float x = a.x.at<float>(i), t = a.targets.at<float>(i);
        const float tail = std::log1p(std::exp(-std::abs(x)));
        const float yes = tail - std::min(x, 0.0f), no = tail + std::max(x, 0.0f);
        sum += a.weight<float>(i) * (a.positive<float>(i) * t * yes + (1 - t) * no);
      }
      partial.at<double>(chunk) = sum;
    }
  });
  double sum = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial.at<double>(chunk);
  return sum / static_cast<double>(n);
}

template <class T>
void gradient(const Terms& a, T dloss, Tensor& dx, int64_t begin, int64_t end) {
  const T over_m = dloss / static_cast<T>(a.x.size());
  for (int64_t i = begin; i < end; ++i) {
    const T t = a.targets.at<T>(i), tail = std::exp(-std::abs(a.x.at<T>(i)));
    const T large = 1 / (1 + tail), small = tail / (1 + tail);
    const bool up = a.x.at<T>(i) >= 0;
    const T q = up ? large : small, not_q = up ? small : large;
    dx.at<T>(i) = over_m * a.weight<T>(i) * ((1 - t) * q - a.positive<T>(i) * t * not_q);
  }
}

kernels::SigmoidCrossEntropyArgs kernel_args(const Terms& a) {
  const auto floats = [](const Tensor& t) {
    return t.defined() ? static_cast<const float*>(t.raw()) : nullptr;
  };
  return {.n = a.x.size(),
          .classes = a.k_count,
          .dtype = a.x.dtype,
          .x = a.x.raw(),
          .targets = floats(a.targets),
          .pos_weight = floats(a.pos_weight),
          .sample_weights = floats(a.sample_weights)};
}

class SigmoidCrossEntropyNode final : public Node {
 public:
  /// The terms' x is f32 where x_type is bf16 on a CPU.
  SigmoidCrossEntropyNode(Terms terms, DType x_type) : terms_(std::move(terms)), x_type_(x_type) {}
  const char* name() const override { return "sigmoid_cross_entropy"; }
  int64_t saved_bytes() const override { return terms_.x.bytes() + terms_.targets.bytes(); }
  OpFacts facts(Stream&, const std::vector<bool>&) const override {
    const auto values = static_cast<double>(terms_.x.size());
    return {.forward_ops = 12 * values, .backward_ops = 12 * values};
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy) override {
    Tensor dx = empty_like(terms_.x);
    switch (path_of(dx)) {
      case Path::reference: gradient(terms_, dy.at<double>(0), dx, 0, dx.size()); break;
      case Path::cpu:
        parallel_for(context.stream.threads(), dx.size(), kChunk, [&](int64_t begin, int64_t end) {
          gradient(terms_, dy.at<float>(0), dx, begin, end);
        });
        dx = cast(dx, x_type_);
        break;
      case Path::cuda:
        kernels::sigmoid_cross_entropy_gradients(context.stream.queue(), kernel_args(terms_),
                                                 static_cast<const float*>(dy.raw()), dx.raw());
        break;
    }
    return {dx, Tensor{}};
  }

 private:
  Terms terms_;
  DType x_type_;
};

// What stands in the GPU's memory the host does not look at.
void check_weights(const char* name, const Tensor& weights, const Shape& shape, DType dtype,
                   Device device) {
  if (!weights.defined()) return;
  GG_CHECK(weights.shape == shape && weights.dtype == dtype, "sigmoid_cross_entropy: ", name,
           " must be ", dtype, ' ', shape, "; got ", weights.dtype, ' ', weights.shape);
  GG_CHECK(weights.device() == device, "sigmoid_cross_entropy: ", name, " must be on the ", device,
           " as x; got the ", weights.device());
  if (device == Device::cuda) return;
  for (const double v : to_values(weights)) {
    GG_CHECK(v >= 0 && std::isfinite(v), "sigmoid_cross_entropy: ", name,
             " must be finite and not negative; got ", v);
  }
}

}  // namespace

Tensor sigmoid_cross_entropy(Tape& tape, const Tensor& any, const Tensor& targets_any,
                             const SigmoidCrossEntropyOptions& options) {
  const OpRange range(tape, "sigmoid_cross_entropy");
  check_computable("sigmoid_cross_entropy", any);
  GG_CHECK(any.rank() >= 1 && any.size() > 0,
           "sigmoid_cross_entropy: x must be [N] or [..., K] and not empty; got ", any.shape);
  const DType wide = any.dtype == DType::f64 ? DType::f64 : DType::f32;
  GG_CHECK(targets_any.shape == any.shape && targets_any.dtype == wide,
           "sigmoid_cross_entropy: targets must be ", wide, ' ', any.shape, " as x; got ",
           targets_any.dtype, ' ', targets_any.shape);
  GG_CHECK(targets_any.device() == any.device(), "sigmoid_cross_entropy: targets must be on the ",
           any.device(), " as x; got the ", targets_any.device());
  const Tensor x = to_layout(any, Layout::nhwc).detached();
  const Tensor targets = to_layout(targets_any, Layout::nhwc).detached();
  const bool on_host = x.device() == Device::cpu;
  for (int64_t i = 0; on_host && i < targets.size(); ++i) {
    const double t = x.dtype == DType::f64 ? targets.at<double>(i) : targets.at<float>(i);
    GG_CHECK(t >= 0 && t <= 1, "sigmoid_cross_entropy: targets must be 0 to 1; value ", i, " is ",
             t);
  }
  const bool one = x.rank() == 1;
  std::array<int64_t, Shape::kMaxRank> leading{};
  const int rows_rank = one ? 1 : x.rank() - 1;
  for (int i = 0; i < rows_rank; ++i) leading[i] = x.dim(i);
  const int64_t k_count = one ? 1 : x.dim(-1);
  check_weights("pos_weight", options.pos_weight, {k_count}, wide, x.device());
  check_weights("sample_weights", options.sample_weights, Shape::of(leading.data(), rows_rank),
                wide, x.device());
  const Tensor terms_x = path_of(x) == Path::cpu ? cast(x, DType::f32) : x;
  const Terms terms{terms_x, targets, options.pos_weight, options.sample_weights, k_count};
  Tensor loss = empty_like(x, Shape{}, wide);
  switch (path_of(x)) {
    case Path::reference: loss.at<double>(0) = loss_reference(terms); break;
    case Path::cpu:
      loss.at<float>(0) = static_cast<float>(loss_cpu(terms, tape.stream().threads()));
      break;
    case Path::cuda: {
      const Tensor scratch =
          empty_like(x, {kernels::sigmoid_cross_entropy_blocks(x.size())}, DType::f64);
      kernels::sigmoid_cross_entropy_loss(tape.queue(), kernel_args(terms),
                                          static_cast<double*>(scratch.raw()),
                                          static_cast<float*>(loss.raw()));
      break;
    }
  }
  return tape.record(loss, {any, targets_any.detached()}, SigmoidCrossEntropyNode(terms, x.dtype));
}

namespace {

CaseRow row(std::string label, const Shape& x, bool weighted, bool bench = false) {
  const int64_t k_count = x.rank() == 1 ? 1 : x.dim(-1);
  const auto uniform = [](const Shape& shape, bool batch) {
    return CaseInput{.shape = shape,
                     .fill = CaseInput::Fill::uniform,
                     .differentiable = false,
                     .master = true,
                     .batch = batch};
  };
  CaseRow r;
  r.label = std::move(label);
  r.inputs = {{.shape = x, .batch = true}, uniform(x, true)};
  // A soft target may nearly cancel the gradient; where there is but one, nothing hides that.
  if (x.size() == 1) r.inputs[1].fill = CaseInput::Fill::binary;
  if (weighted) {
    r.inputs.push_back(uniform({k_count}, false));
    r.inputs.push_back(uniform(x.rank() == 3 ? Shape{x[0], x[1]} : Shape{x[0]}, true));
  }
  r.op = [weighted](Tape& tape, const std::vector<Tensor>& in) {
    SigmoidCrossEntropyOptions options;
    if (weighted) {
      options.pos_weight = in[2];
      options.sample_weights = in[3];
    }
    return sigmoid_cross_entropy(tape, in[0], in[1], options);
  };
  // The loss is a mean: with this its gradients are of the size of one value's.
  r.dy_scale = static_cast<double>(std::bit_ceil(static_cast<uint64_t>(x.size())));
  r.bench = bench;
  r.gradient_check = x.size() < 2000;
  r.cost = {.bytes = 8.0 * static_cast<double>(x.size()),
            .ops = 40.0 * static_cast<double>(x.size())};
  return r;
}

const bool kCase = register_case({
    .name = "sigmoid_cross_entropy",
    .rows = {row("odd sizes", {5, 3}, false), row("size one", {1}, false),
             row("weights", {7, 3}, true), row("one output, weights", {6}, true),
             row("more axes", {2, 3, 4}, true),
             row("33,000 values, more than one sum takes", {11000, 3}, true),
             row("a batch of 80 labels", {32, 80}, false, true)},
    .f32_tolerance = 1e-6,
});

}  // namespace
}  // namespace gliograd
