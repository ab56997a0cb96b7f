// All registered cases: every path against the f64 reference, every gradient against finite
// differences. What a case cannot say stands in the op's own test.
#include <cmath>

#include "engine/ops/case.hpp"
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

TEST_CASE("cases: every f32 path agrees with the f64 reference, with and without oneDNN") {
  const uint64_t seed = fresh_seed();
  REQUIRE(!all_cases().empty());
  for (const int threads : {1, 2}) {
    for (const bool vendor : {true, false}) {
      const auto stream = Stream::cpu({.threads = threads, .vendor = vendor});
      INFO(threads, " threads, oneDNN ", vendor ? "allowed" : "left out");
      for (const Case& c : all_cases()) {
        for (const CaseRow& row : c.rows) check(compare_paths(c, row, *stream, seed), seed);
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

TEST_CASE("cases: a wrong f32 path is caught, and so is a NaN") {
  const auto passed = [](float factor) {
    const Case c = scale_case(factor);
    return compare_paths(c, c.rows[0], cpu_stream(), 1).at(0).passed;
  };
  CHECK(passed(3));
  CHECK_FALSE(passed(3.0001f));
  CHECK_FALSE(passed(NAN));
}
