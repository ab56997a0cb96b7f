#include "engine/ops/sigmoid_cross_entropy.hpp"

#include <cmath>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

double loss_of(const Tensor& x, const Tensor& targets,
               const SigmoidCrossEntropyOptions& options = {}) {
  Tape tape = Tape::off(cpu_stream(), x.dtype);
  return values(sigmoid_cross_entropy(tape, x, targets, options))[0];
}

}  // namespace

TEST_CASE("sigmoid_cross_entropy: by hand, plain and weighted") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    // sigmoid(log 3) = 3/4 and sigmoid(0) = 1/2.
    const Tensor x = tensor({2, 1}, {std::log(3.0), 0}, dtype), t = tensor({2, 1}, {1, 0}, dtype);
    const double l43 = std::log(4.0 / 3), l2 = std::log(2.0);
    CHECK(loss_of(x, t) == doctest::Approx((l43 + l2) / 2));
    const Tensor p = tensor({1}, {5}, dtype), v = tensor({2}, {2, 7}, dtype);
    CHECK(loss_of(x, t, {.pos_weight = p}) == doctest::Approx((5 * l43 + l2) / 2));
    CHECK(loss_of(x, t, {.pos_weight = p, .sample_weights = v}) ==
          doctest::Approx((10 * l43 + 7 * l2) / 2));
    Tape tape(cpu_stream(), dtype);
    const Tensor watched = tape.watch(x);
    tape.backward(sigmoid_cross_entropy(tape, watched, t, {.pos_weight = p}));
    const std::vector<double> dx = values(tape.gradient(watched));
    CHECK(dx[0] == doctest::Approx(-5 * 0.25 / 2));
    CHECK(dx[1] == doctest::Approx(0.25));
  }
}

TEST_CASE("sigmoid_cross_entropy: logits of any size give a finite loss, NaN is not hidden") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Tensor one = tensor({1}, {1}, dtype), zero = tensor({1}, {0}, dtype);
    CHECK(loss_of(tensor({1}, {1e4}, dtype), one) == 0);
    CHECK(loss_of(tensor({1}, {1e4}, dtype), zero) == 1e4);
    CHECK(loss_of(tensor({1}, {-1e4}, dtype), one) == 1e4);
    CHECK(std::isnan(loss_of(tensor({1}, {NAN}, dtype), one)));
  }
}

TEST_CASE("sigmoid_cross_entropy: errors name what was needed and what came") {
  const Tensor x = tensor({2}, {0, 1});
  CHECK(contains(error_of([&] {
                   loss_of(x, tensor({2}, {0, 1.5}));
                 }),
                 "targets must be 0 to 1; value 1 is 1.5"));
  CHECK(contains(error_of([&] { loss_of(x, tensor({2}, {NAN, 1})); }), "value 0 is nan"));
  CHECK(contains(error_of([&] { loss_of(x, tensor({1}, {0})); }),
                 "targets must be f64 [2] as x; got f64 [1]"));
  const Tensor t = tensor({2}, {0, 1});
  CHECK(contains(error_of([&] {
                   loss_of(x, t, {.pos_weight = tensor({2}, {1, 1})});
                 }),
                 "pos_weight must be f64 [1]; got f64 [2]"));
  CHECK(contains(error_of([&] {
                   loss_of(x, t, {.sample_weights = tensor({2}, {1, -1})});
                 }),
                 "sample_weights must be finite and not negative; got -1"));
}
