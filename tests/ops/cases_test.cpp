// All registered cases: every path against the f64 reference, every gradient against finite
// differences. What a case cannot say stands in the op's own test.
#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/ops/batch_norm.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/concat.hpp"
#include "engine/ops/conv.hpp"
#include "engine/ops/dropout.hpp"
#include "engine/ops/elementwise.hpp"
#include "engine/ops/linear.hpp"
#include "engine/ops/pool.hpp"
#include "engine/ops/sigmoid_cross_entropy.hpp"
#include "engine/ops/softmax_cross_entropy.hpp"
#include "engine/tensor/layout.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

void check(const std::vector<CaseOutcome>& outcomes, uint64_t seed) {
  for (const CaseOutcome& outcome : outcomes) {
    INFO(outcome.where, ": error ", outcome.error, ", tolerance ", outcome.tolerance, ", seed ",
         seed);
    CHECK(outcome.passed);
  }
}

// y = x^2 elementwise in f64 with dy/dx = factor * x: right for factor 2 alone.
class SquareNode final : public Node {
 public:
  SquareNode(Tensor x, double factor) : x_(std::move(x)), factor_(factor) {}
  const char* name() const override { return "square"; }
  int64_t saved_bytes() const override { return x_.bytes(); }
  std::vector<Tensor> backward(BackwardContext&, const Tensor& dy) override {
    Tensor dx = empty_like(x_);
    for (int64_t i = 0; i < dy.size(); ++i) {
      dx.at<double>(i) = factor_ * x_.at<double>(i) * dy.at<double>(i);
    }
    return {dx};
  }

 private:
  Tensor x_;
  double factor_;
};

Case square_case(double factor) {
  const auto op = [factor](Tape& tape, const std::vector<Tensor>& in) {
    Tensor y = empty_like(in[0]);
    for (int64_t i = 0; i < y.size(); ++i) {
      y.at<double>(i) = in[0].at<double>(i) * in[0].at<double>(i);
    }
    return tape.record(y, {in[0]}, SquareNode(in[0], factor));
  };
  return {.name = "square", .rows = {{.label = "7", .inputs = {{.shape = {7}}}, .op = op}}};
}

// y = 3 x: in f32 of another shape than in f64, or not put on the tape.
Case careless_case(bool f32_flat, bool recorded) {
  const auto op = [=](Tape& tape, const std::vector<Tensor>& in) {
    Tensor y = empty_like(in[0]);
    for (int64_t i = 0; i < y.size(); ++i) {
      if (y.dtype == DType::f64) {
        y.at<double>(i) = 3 * in[0].at<double>(i);
      } else {
        y.at<float>(i) = 3 * in[0].at<float>(i);
      }
    }
    if (f32_flat && y.dtype == DType::f32) y = y.reshaped({y.size()});
    return recorded ? tape.record(y, {in[0]}, SquareNode(in[0], 0)) : y;
  };
  return {.name = "careless",
          .rows = {{.label = "2 x 3",
                    .inputs = {{.shape = {2, 3}, .differentiable = !f32_flat}},
                    .op = op}}};
}

// Multiplies by `f32_factor` in f32 and by 3 in f64: the paths agree for 3 alone.
Case scale_case(float f32_factor) {
  const auto op = [f32_factor](Tape& tape, const std::vector<Tensor>& in) {
    Tensor y = empty_like(in[0]);
    for (int64_t i = 0; i < y.size(); ++i) {
      if (y.dtype == DType::f64) {
        y.at<double>(i) = 3 * in[0].at<double>(i);
      } else {
        y.at<float>(i) = f32_factor * in[0].at<float>(i);
      }
    }
    return tape.record(y, {}, SquareNode(in[0], 0));
  };
  return {.name = "scale",
          .rows = {{.label = "7", .inputs = {{.shape = {7}, .differentiable = false}}, .op = op}}};
}

}  // namespace

TEST_CASE("cases: f32 and bf16 agree with the f64 reference, with and without oneDNN") {
  const uint64_t seed = fresh_seed();
  REQUIRE(!all_cases().empty());
  for (const int threads : {1, 2}) {
    for (const bool vendor : {true, false}) {
      const auto stream = Stream::cpu({.threads = threads, .vendor = vendor});
      INFO(threads, " threads, oneDNN ", vendor ? "allowed" : "left out");
      for (const Case& c : all_cases()) {
        for (const CaseRow& row : c.rows) {
          for (const DType dtype : {DType::f32, DType::bf16}) {
            INFO(std::string(name_of(dtype)));
            check(compare_paths(c, row, *stream, seed, dtype), seed);
          }
        }
      }
    }
  }
}

TEST_CASE("cases: every gradient agrees with finite differences in f64") {
  const uint64_t seed = fresh_seed();
  for (const Case& c : all_cases()) {
    for (const CaseRow& row : c.rows) check(check_gradients(c, row, cpu_stream(), seed), seed);
  }
}

// A blocked image of 20 channels holds 12 more that are nobody's; were they not zero, the next op
// could spread what they hold.
TEST_CASE("cases: what pads a blocked image stays zero, forward and backward") {
  const Shape shape{2, 6, 5, 20};
  const auto padding_is_zero = [](const Tensor& t) {
    if (t.layout != Layout::blocked16) return true;
    const Tensor plain = to_layout(t, Layout::nhwc);
    double inside = 0, all = 0;
    for (int64_t i = 0; i < plain.size(); ++i) inside += std::abs(plain.at<float>(i));
    for (int64_t i = 0; i < storage_size(t.shape, t.layout); ++i) all += std::abs(t.at<float>(i));
    return std::abs(all - inside) <= 1e-6 * inside;
  };
  const Tensor gamma = tensor({20}, std::vector<double>(20, 1.5), DType::f32);
  const Tensor beta = tensor({20}, std::vector<double>(20, 0.5), DType::f32);
  const std::pair<const char*, std::function<Tensor(Tape&, const Tensor&)>> ops[] = {
      {"relu", [](Tape& t, const Tensor& x) { return relu(t, x); }},
      {"leaky_relu", [](Tape& t, const Tensor& x) { return leaky_relu(t, x, 0.2); }},
      {"sigmoid", [](Tape& t, const Tensor& x) { return sigmoid(t, x); }},
      {"add", [](Tape& t, const Tensor& x) { return add(t, x, x); }},
      {"max_pool", [](Tape& t, const Tensor& x) { return max_pool(t, x); }},
      {"average_pool", [](Tape& t, const Tensor& x) { return average_pool(t, x); }},
      {"global_average_pool", [](Tape& t, const Tensor& x) { return global_average_pool(t, x); }},
      {"batch_norm", [&](Tape& t, const Tensor& x) {
         RunningStats running{zeros_like(gamma), zeros_like(gamma)};
         return batch_norm(t, x, gamma, beta, running,
                           {.residual = &x, .activation = Activation::leaky_relu});
       }}};
  for (const auto& entry : ops) {
    const std::string name = entry.first;
    const auto& op = entry.second;
    CAPTURE(name);
    const auto stream = Stream::cpu();
    // Memory that is handed out again holds what was there before.
    for (int i = 0; i < 4; ++i) {
      Tensor used = empty(*stream, {2, 6, 5, 32});
      std::fill_n(used.data<float>(), used.size(), 7.0f);
    }
    std::vector<double> v(shape.size());
    for (size_t i = 0; i < v.size(); ++i) v[i] = std::sin(static_cast<double>(i));
    Tape tape(*stream);
    const Tensor x = tape.watch(to_layout(from_values(*stream, shape, v), Layout::blocked16));
    const Tensor y = op(tape, x);
    CHECK(padding_is_zero(y));
    const Tensor ones = from_values(*stream, y.shape, std::vector<double>(y.size(), 1));
    tape.backward(y, to_layout(ones, y.layout));
    CHECK(padding_is_zero(tape.gradient(x)));
  }
}

TEST_CASE("cases: every op refuses what it cannot compute with, by its name") {
  Tape tape = Tape::off(cpu_stream());
  RunningStats running;
  const std::pair<std::string, std::function<void(const Tensor&)>> ops[] = {
      {"relu", [&](const Tensor& x) { relu(tape, x); }},
      {"leaky_relu", [&](const Tensor& x) { leaky_relu(tape, x); }},
      {"sigmoid", [&](const Tensor& x) { sigmoid(tape, x); }},
      {"add", [&](const Tensor& x) { add(tape, x, x); }},
      {"concat",
       [&](const Tensor& x) {
         concat(tape, {x, x});
       }},
      {"dropout", [&](const Tensor& x) { dropout(tape, x); }},
      {"max_pool", [&](const Tensor& x) { max_pool(tape, x); }},
      {"average_pool", [&](const Tensor& x) { average_pool(tape, x); }},
      {"global_average_pool", [&](const Tensor& x) { global_average_pool(tape, x); }},
      {"batch_norm", [&](const Tensor& x) { batch_norm(tape, x, x, x, running); }},
      {"softmax", [&](const Tensor& x) { softmax(tape, x); }},
      {"softmax_cross_entropy", [&](const Tensor& x) { softmax_cross_entropy(tape, x, x); }},
      {"sigmoid_cross_entropy", [&](const Tensor& x) { sigmoid_cross_entropy(tape, x, x); }},
      {"conv", [&](const Tensor& x) { conv(tape, x, x, {}); }},
      {"linear", [&](const Tensor& x) { linear(tape, x, x, {}); }}};
  for (const auto& entry : ops) {
    const std::string& name = entry.first;
    const auto& op = entry.second;
    CAPTURE(name);
    for (const DType dtype : {DType::f16, DType::i32, DType::u8}) {
      for (const Shape& shape : {Shape{2, 2}, Shape{1, 2, 2, 2}}) {
        const std::string text = error_of([&] { op(zeros(cpu_stream(), shape, dtype)); });
        CHECK(text.rfind(name + ": ", 0) == 0);
      }
    }
    CHECK(error_of([&] { op(Tensor{}); }).rfind(name + ": ", 0) == 0);
  }
}

TEST_CASE("cases: a broken gradient is caught, and so is a NaN") {
  const auto passed = [](double factor) {
    const Case c = square_case(factor);
    const auto outcomes = check_gradients(c, c.rows[0], cpu_stream(), 1);
    REQUIRE(outcomes.size() == 1);
    return outcomes[0].passed;
  };
  CHECK(passed(2));
  CHECK_FALSE(passed(2 + 1e-5));
  CHECK_FALSE(passed(NAN));
}

TEST_CASE("cases: an op that records nothing fails, and so does a path with another shape") {
  const Case silent = careless_case(false, false), flat = careless_case(true, true);
  const auto gradients = check_gradients(silent, silent.rows[0], cpu_stream(), 1);
  REQUIRE(gradients.size() == 1);
  CHECK_FALSE(gradients[0].passed);
  const auto paths = compare_paths(silent, silent.rows[0], cpu_stream(), 1);
  REQUIRE(paths.size() == 2);
  CHECK(paths[0].passed);        // the output is right
  CHECK_FALSE(paths[1].passed);  // its gradient is missing
  CHECK_FALSE(compare_paths(flat, flat.rows[0], cpu_stream(), 1).at(0).passed);
}

TEST_CASE("cases: a wrong f32 path is caught, and so is a NaN") {
  const auto passed = [](float factor) {
    const Case c = scale_case(factor);
    return compare_paths(c, c.rows[0], cpu_stream(), 1).at(0).passed;
  };
  CHECK(passed(3));
  CHECK_FALSE(passed(3.0001f));
  CHECK_FALSE(passed(NAN));
}
