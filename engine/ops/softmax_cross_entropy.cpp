// Softmax, and softmax cross-entropy: reference, CPU, backward node, entry, case of each.
//
// Gradient of the loss, with D = sum_i v_i * w[y_i], W = sum_k w[k] and q = softmax(x):
//   dx[i, k] = dloss * v_i / D * ((1 - s) * w[y_i] * (q[i, k] - [k = y_i])
//                                 + s / K * (W * q[i, k] - w[k])).
// The kernels of the GPU path: kernels/gpu/softmax_cross_entropy.cu.
#include "engine/ops/softmax_cross_entropy.hpp"

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
#include "kernels/softmax_cross_entropy.hpp"

namespace gliograd {
namespace {

constexpr int64_t kGrainRows = 1024;  // also the rows of one partial sum of the loss

kernels::SoftmaxShape kernel_shape(const Tensor& x) {
  return {x.size() / x.dim(-1), x.dim(-1), x.dtype};
}

// ---- softmax ----------------------------------------------------------------------------------

void softmax_reference(const Tensor& x, Tensor& y) {
  const int64_t k_count = x.dim(-1);
  for (int64_t i = 0; i < x.size() / k_count; ++i) {
    double largest = x.at<double>(i * k_count), sum = 0;
    for (int64_t k = 0; k < k_count; ++k)
      largest = std::max(largest, x.at<double>(i * k_count + k));
    for (int64_t k = 0; k < k_count; ++k) sum += std::exp(x.at<double>(i * k_count + k) - largest);
    for (int64_t k = 0; k < k_count; ++k) {
      y.at<double>(i * k_count + k) = std::exp(x.at<double>(i * k_count + k) - largest) / sum;
    }
  }
}

// One row of probabilities; returns log sum e^x.
float softmax_row(const float* x, int64_t k_count, float* q) {
  const float largest = *std::max_element(x, x + k_count);
  float sum = 0;
  for (int64_t k = 0; k < k_count; ++k) {
    q[k] = std::exp(x[k] - largest);
    sum += q[k];
  }
  for (int64_t k = 0; k < k_count; ++k) q[k] /= sum;
  return largest + std::log(sum);
}

class SoftmaxNode final : public Node {
 public:
  /// kept: y, in bf16 on a CPU as f32; on a GPU x, because a y of 16 bits is not exact enough.
  explicit SoftmaxNode(Tensor kept) : kept_(std::move(kept)) {}
  const char* name() const override { return "softmax"; }
  int64_t saved_bytes() const override { return kept_.bytes(); }
  OpFacts facts(Stream&, const std::vector<bool>&) const override {
    const auto values = static_cast<double>(kept_.size());
    return {.forward_ops = 8 * values, .backward_ops = 4 * values};
  }

  // dx = y * (dy - sum over the row of dy * y)
  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy_any) override {
    const bool own = dy_any.unique();
    const Tensor dy = to_layout(dy_any, Layout::nhwc);
    Tensor dx = own && path_of(kept_) == Path::cuda ? dy.detached() : empty_like(kept_);
    switch (path_of(kept_)) {
      case Path::reference: rows<double>(dy, dx, 0, kept_.size() / kept_.dim(-1)); break;
      case Path::cpu:
        parallel_for(context.stream.threads(), kept_.size() / kept_.dim(-1), kGrainRows,
                     [&, d = cast(dy, DType::f32)](int64_t begin, int64_t end) {
                       rows<float>(d, dx, begin, end);
                     });
        dx = cast(dx, dy.dtype);
        break;
      case Path::cuda:
        kernels::softmax_gradients(context.stream.queue(), kernel_shape(kept_), dy.raw(),
                                   kept_.raw(), dx.raw());
        break;
    }
    return {dx};
  }

 private:
  template <class T>
  void rows(const Tensor& dy, Tensor& dx, int64_t begin, int64_t end) const {
    const int64_t k_count = kept_.dim(-1);
    for (int64_t i = begin; i < end; ++i) {
      const T *y = kept_.data<T>() + i * k_count, *d = dy.data<T>() + i * k_count;
      T dot = 0;
      for (int64_t k = 0; k < k_count; ++k) dot += d[k] * y[k];
      for (int64_t k = 0; k < k_count; ++k) dx.data<T>()[i * k_count + k] = y[k] * (d[k] - dot);
    }
  }

  Tensor kept_;
};

// ---- the loss ---------------------------------------------------------------------------------

// The weights of one call as plain numbers: f64, and few or read once.
struct Weights {
  Tensor classes, samples;  // may be undefined
  double of_class(int64_t k) const { return at(classes, k); }
  double of_sample(int64_t i) const { return at(samples, i); }
  double all_classes(int64_t k_count) const {
    double sum = 0;
    for (int64_t k = 0; k < k_count; ++k) sum += of_class(k);
    return sum;
  }

 private:
  static double at(const Tensor& t, int64_t i) {
    if (!t.defined()) return 1;
    return t.dtype == DType::f64 ? t.at<double>(i) : t.at<float>(i);
  }
};

double loss_reference(const Tensor& x, const Tensor& labels, const Weights& w, double s,
                      Tensor& q) {
  const int64_t k_count = x.dim(-1);
  softmax_reference(x, q);
  double sum = 0;
  for (int64_t i = 0; i < labels.size(); ++i) {
    double largest = x.at<double>(i * k_count), total = 0, row = 0;
    for (int64_t k = 0; k < k_count; ++k)
      largest = std::max(largest, x.at<double>(i * k_count + k));
    for (int64_t k = 0; k < k_count; ++k)
      total += std::exp(x.at<double>(i * k_count + k) - largest);
    for (int64_t k = 0; k < k_count; ++k) {
      const double nll = std::log(total) + largest - x.at<double>(i * k_count + k);
      const double target =
          (k == labels.at<int32_t>(i) ? 1 - s : 0) + s / static_cast<double>(k_count);
      row += target * w.of_class(k) * nll;
    }
    sum += w.of_sample(i) * row;
  }
  return sum;
}

double loss_cpu(const Tensor& x, const Tensor& labels, const Weights& w, double s, int threads,
                Tensor& q) {
  const int64_t k_count = x.dim(-1), rows = labels.size();
  const int64_t chunks = (rows + kGrainRows - 1) / kGrainRows;
  const Tensor partial = empty_like(x, {chunks}, DType::f64);
  const double spread = s / static_cast<double>(k_count);
  parallel_for(threads, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      double sum = 0;
      for (int64_t i = chunk * kGrainRows; i < std::min(rows, (chunk + 1) * kGrainRows); ++i) {
        const float* row = x.data<float>() + i * k_count;
        const int32_t label = labels.at<int32_t>(i);
        const float lse = softmax_row(row, k_count, q.data<float>() + i * k_count);
        double loss = (1 - s) * w.of_class(label) * (lse - row[label]);
        if (s > 0) {
          for (int64_t k = 0; k < k_count; ++k) loss += spread * w.of_class(k) * (lse - row[k]);
        }
        sum += w.of_sample(i) * loss;
      }
      partial.at<double>(chunk) = sum;
    }
  });
  double sum = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial.at<double>(chunk);
  return sum;
}

class SoftmaxCrossEntropyNode final : public Node {
 public:
  /// q in f32, or f64; the gradient leaves in x_type.
  SoftmaxCrossEntropyNode(DType x_type, Tensor q, Tensor labels, Weights weights, double smoothing,
                          double denominator)
      : x_type_(x_type),
        q_(std::move(q)),
        labels_(std::move(labels)),
        weights_(std::move(weights)),
        smoothing_(smoothing),
        denominator_(denominator) {}
  const char* name() const override { return "softmax_cross_entropy"; }
  int64_t saved_bytes() const override { return q_.bytes() + labels_.bytes(); }
  OpFacts facts(Stream&, const std::vector<bool>&) const override {
    const auto values = static_cast<double>(q_.size());
    return {.forward_ops = 8 * values, .backward_ops = 8 * values};
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy) override {
    Tensor dx = empty_like(q_);
    switch (path_of(q_)) {
      case Path::reference: rows<double>(dy.at<double>(0), dx, 0, labels_.size()); break;
      case Path::cpu:
        parallel_for(
            context.stream.threads(), labels_.size(), kGrainRows,
            [&](int64_t begin, int64_t end) { rows<float>(dy.at<float>(0), dx, begin, end); });
        dx = cast(dx, x_type_);
        break;
      case Path::cuda: GG_CHECK(false, "softmax_cross_entropy: a GPU's tensor in the CPU's node");
    }
    return {dx};
  }

 private:
  template <class T>
  void rows(double dloss, Tensor& dx, int64_t begin, int64_t end) const {
    const int64_t k_count = q_.dim(-1);
    const double all = weights_.all_classes(k_count);
    const double spread = smoothing_ / static_cast<double>(k_count);
    for (int64_t i = begin; i < end; ++i) {
      const T* q = q_.data<T>() + i * k_count;
      const int32_t label = labels_.at<int32_t>(i);
      const double factor = dloss * weights_.of_sample(i) / denominator_;
      const double hit = (1 - smoothing_) * weights_.of_class(label);
      for (int64_t k = 0; k < k_count; ++k) {
        dx.data<T>()[i * k_count + k] =
            static_cast<T>(factor * (hit * (q[k] - (k == label ? 1 : 0)) +
                                     spread * (all * q[k] - weights_.of_class(k))));
      }
    }
  }

  DType x_type_;
  Tensor q_, labels_;
  Weights weights_;
  double smoothing_, denominator_;
};

// ---- the loss on a GPU ------------------------------------------------------------------------

template <class T>
T* pointer(const Tensor& t) {
  return t.defined() ? static_cast<T*>(t.raw()) : nullptr;
}

// Keeps the logits in place of the probabilities, which would cost a pass over memory to write.
class SoftmaxCrossEntropyCudaNode final : public Node {
 public:
  SoftmaxCrossEntropyCudaNode(Tensor x, Tensor labels, Weights weights, double smoothing)
      : x_(std::move(x)),
        labels_(std::move(labels)),
        weights_(std::move(weights)),
        smoothing_(smoothing),
        stats_(empty_like(x_, {labels_.size(), 2}, DType::f32)),
        totals_(empty_like(x_, {2}, DType::f32)) {}
  const char* name() const override { return "softmax_cross_entropy"; }
  int64_t saved_bytes() const override { return x_.bytes() + labels_.bytes() + stats_.bytes(); }

  void forward(kernels::Queue queue, Tensor& loss) const {
    const kernels::SoftmaxShape shape = kernel_shape(x_);
    const kernels::SoftmaxBlocks blocks(shape.rows, shape.classes);
    const Tensor scratch = empty_like(x_, {2 * blocks.blocks}, DType::f64);
    kernels::softmax_cross_entropy_loss(queue, shape, args(), static_cast<double*>(scratch.raw()),
                                        static_cast<float*>(loss.raw()));
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy) override {
    Tensor dx = empty_like(x_);
    kernels::softmax_cross_entropy_gradients(context.stream.queue(), kernel_shape(x_), args(),
                                             static_cast<const float*>(dy.raw()), dx.raw());
    return {dx};
  }

 private:
  kernels::SoftmaxCrossEntropyArgs args() const {
    return {.x = x_.raw(),
            .labels = pointer<int32_t>(labels_),
            .class_weights = pointer<float>(weights_.classes),
            .sample_weights = pointer<float>(weights_.samples),
            .smoothing = static_cast<float>(smoothing_),
            .stats = pointer<float>(stats_),
            .totals = pointer<float>(totals_)};
  }

  Tensor x_, labels_;
  Weights weights_;
  double smoothing_;
  Tensor stats_, totals_;  // what backward needs of the rows, and of all of them
};

// What stands in the GPU's memory the host does not look at.
void check_weights(const char* name, const Tensor& weights, const Shape& shape, Device device) {
  if (!weights.defined()) return;
  GG_CHECK(
      weights.shape == shape &&
          (weights.dtype == DType::f32 || (weights.dtype == DType::f64 && device == Device::cpu)),
      "softmax_cross_entropy: ", name, " must be ", device == Device::cpu ? "f32 or f64 " : "f32 ",
      shape, "; got ", weights.dtype, ' ', weights.shape);
  GG_CHECK(weights.device() == device, "softmax_cross_entropy: ", name, " must be on the ", device,
           " as x; got the ", weights.device());
  if (device == Device::cuda) return;
  for (const double v : to_values(weights)) {
    GG_CHECK(v >= 0 && std::isfinite(v), "softmax_cross_entropy: ", name,
             " must be finite and not negative; got ", v);
  }
}

}  // namespace

// ---- entries ----------------------------------------------------------------------------------

Tensor softmax(Tape& tape, const Tensor& any) {
  const OpRange range(tape, "softmax");
  check_computable("softmax", any);
  GG_CHECK(any.rank() >= 1 && any.size() > 0, "softmax: x must be [..., K] and not empty; got ",
           any.shape);
  const Tensor x = to_layout(any, Layout::nhwc);
  Tensor y = empty_like(x);
  const int64_t k_count = x.dim(-1);
  Tensor kept = path_of(x) == Path::cuda ? x.detached() : y;
  switch (path_of(x)) {
    case Path::reference: softmax_reference(x, y); break;
    case Path::cpu: {
      const Tensor wide = cast(x, DType::f32);
      if (x.dtype != DType::f32) kept = empty_like(wide);
      parallel_for(tape.stream().threads(), x.size() / k_count, kGrainRows,
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i) {
                       softmax_row(wide.data<float>() + i * k_count, k_count,
                                   kept.data<float>() + i * k_count);
                     }
                   });
      y = cast(kept, x.dtype);
      break;
    }
    case Path::cuda:
      kernels::softmax_values(tape.queue(), kernel_shape(x), x.raw(), y.raw());
      break;
  }
  return tape.record(y, {any}, SoftmaxNode(kept));
}

Tensor softmax_cross_entropy(Tape& tape, const Tensor& any, const Tensor& labels,
                             const SoftmaxCrossEntropyOptions& options) {
  const OpRange range(tape, "softmax_cross_entropy");
  check_computable("softmax_cross_entropy", any);
  GG_CHECK(any.rank() >= 1 && any.size() > 0,
           "softmax_cross_entropy: x must be [..., K] and not empty; got ", any.shape);
  const Tensor x = to_layout(any, Layout::nhwc);
  const int64_t k_count = x.dim(-1);
  std::array<int64_t, Shape::kMaxRank> leading{};
  for (int i = 0; i + 1 < x.rank(); ++i) leading[i] = x.dim(i);
  const Shape rows = Shape::of(leading.data(), x.rank() - 1);
  GG_CHECK(labels.dtype == DType::i32 && labels.shape == rows,
           "softmax_cross_entropy: labels must be i32 ", rows, ", one a row of x ", x.shape,
           "; got ", labels.dtype, ' ', labels.shape);
  const double s = options.label_smoothing;
  GG_CHECK(s >= 0 && s <= 1, "softmax_cross_entropy: label_smoothing must be 0 to 1; got ", s);
  GG_CHECK(labels.device() == x.device(), "softmax_cross_entropy: labels must be on the ",
           x.device(), " as x; got the ", labels.device());
  check_weights("class_weights", options.class_weights, {k_count}, x.device());
  check_weights("sample_weights", options.sample_weights, rows, x.device());
  const Weights weights{options.class_weights, options.sample_weights};
  if (path_of(x) == Path::cuda) {
    Tensor loss = empty_like(x, Shape{}, DType::f32);
    SoftmaxCrossEntropyCudaNode node(x.detached(), labels.detached(), weights, s);
    node.forward(tape.queue(), loss);
    return tape.record(loss, {any}, std::move(node));
  }
  double denominator = 0;
  for (int64_t i = 0; i < labels.size(); ++i) {
    const int32_t label = labels.at<int32_t>(i);
    GG_CHECK(label >= 0 && label < k_count, "softmax_cross_entropy: labels must be 0 to ",
             k_count - 1, "; row ", i, " has ", label);
    denominator += weights.of_sample(i) * weights.of_class(label);
  }
  GG_CHECK(denominator > 0, "softmax_cross_entropy: the weights of all rows are zero");

  const Tensor wide = cast(x, sum_type(x.dtype));
  Tensor q = empty_like(wide), loss = empty_like(wide, Shape{});
  switch (path_of(x)) {
    case Path::reference:
      loss.at<double>(0) = loss_reference(x, labels, weights, s, q) / denominator;
      break;
    case Path::cpu:
      loss.at<float>(0) = static_cast<float>(
          loss_cpu(wide, labels, weights, s, tape.stream().threads(), q) / denominator);
      break;
    case Path::cuda: break;  // above
  }
  return tape.record(
      loss, {any}, SoftmaxCrossEntropyNode(x.dtype, q, labels.detached(), weights, s, denominator));
}

// ---- cases ------------------------------------------------------------------------------------

namespace {

CaseRow softmax_case_row(std::string label, const Shape& x, bool bench = false) {
  CaseRow r;
  r.label = std::move(label);
  r.inputs = {{.shape = x, .batch = true}};
  r.op = [](Tape& tape, const std::vector<Tensor>& in) { return softmax(tape, in[0]); };
  r.bench = bench;
  r.cost = {.bytes = 8.0 * static_cast<double>(x.size()),
            .ops = 30.0 * static_cast<double>(x.size())};
  return r;
}

CaseRow loss_row(std::string label, const Shape& x, bool weighted, double smoothing,
                 bool bench = false) {
  const int64_t k_count = x.dim(-1);
  Shape rows = Shape{x[0]};
  if (x.rank() == 4) rows = {x[0], x[1], x[2]};
  CaseRow r;
  r.label = std::move(label);
  r.inputs = {{.shape = x, .batch = true},
              {.shape = rows,
               .fill = CaseInput::Fill::classes,
               .classes = static_cast<int>(k_count),
               .differentiable = false,
               .batch = true}};
  if (weighted) {
    r.inputs.push_back({.shape = {k_count},
                        .fill = CaseInput::Fill::uniform,
                        .differentiable = false,
                        .master = true});
    r.inputs.push_back({.shape = rows,
                        .fill = CaseInput::Fill::uniform,
                        .differentiable = false,
                        .master = true,
                        .batch = true});
  }
  r.op = [weighted, smoothing](Tape& tape, const std::vector<Tensor>& in) {
    SoftmaxCrossEntropyOptions options{.label_smoothing = smoothing};
    if (weighted) {
      options.class_weights = in[2];
      options.sample_weights = in[3];
    }
    return softmax_cross_entropy(tape, in[0], in[1], options);
  };
  // The loss is a mean: with this its gradients are of the size of one value's.
  r.dy_scale = static_cast<double>(std::bit_ceil(static_cast<uint64_t>(rows.size())));
  r.bench = bench;
  r.gradient_check = x.size() < 2000;
  r.cost = {.bytes = 8.0 * static_cast<double>(x.size()),
            .ops = 30.0 * static_cast<double>(x.size())};
  return r;
}

const bool kSoftmaxCase = register_case({
    .name = "softmax",
    .rows = {softmax_case_row("odd sizes", {3, 5, 7}), softmax_case_row("size one", {1, 1}),
             softmax_case_row("one row", {4}),
             softmax_case_row("a batch of 1,000 classes", {32, 1000}, true)},
    .f32_tolerance = 2e-6,  // the gradient y * (dy - dot) of a short row can nearly cancel
});

const bool kLossCase = register_case({
    .name = "softmax_cross_entropy",
    .rows =
        {
            loss_row("two classes", {5, 2}, false, 0),
            loss_row("one row, one class", {1, 1}, false, 0),
            loss_row("weights", {7, 3}, true, 0),
            loss_row("weights and smoothing", {6, 5}, true, 0.1),
            loss_row("all smooth", {4, 3}, false, 1),
            loss_row("dense prediction", {2, 3, 5, 4}, true, 0.05),
            loss_row("2,100 rows, more than one sum takes", {2100, 3}, true, 0.1),
            loss_row("a batch of 1,000 classes", {32, 1000}, false, 0.1, true),
        },
    .f32_tolerance = 1e-6,
});

}  // namespace
}  // namespace gliograd
