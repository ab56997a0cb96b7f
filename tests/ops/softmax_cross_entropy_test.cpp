#include "engine/ops/softmax_cross_entropy.hpp"

#include <cmath>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

double loss_of(const Tensor& x, const std::vector<double>& labels,
               const SoftmaxCrossEntropyOptions& options = {}) {
  Tape tape = Tape::off(cpu_stream(), x.dtype);
  const auto n = static_cast<int64_t>(labels.size());
  return values(softmax_cross_entropy(tape, x, tensor({n}, labels, DType::i32), options))[0];
}

}  // namespace

TEST_CASE("softmax_cross_entropy: by hand, plain, weighted and smoothed") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    // Row 0: softmax (1/4, 3/4). Row 1: (1/2, 1/2).
    const Tensor x = tensor({2, 2}, {0, std::log(3.0), 5, 5}, dtype);
    const double l4 = std::log(4.0), l43 = std::log(4.0 / 3), l2 = std::log(2.0);
    CHECK(loss_of(x, {0, 1}) == doctest::Approx((l4 + l2) / 2));
    const Tensor w = tensor({2}, {3, 1}, dtype), v = tensor({2}, {1, 5}, dtype);
    CHECK(loss_of(x, {0, 1}, {.class_weights = w}) == doctest::Approx((3 * l4 + l2) / 4));
    CHECK(loss_of(x, {0, 1}, {.class_weights = w, .sample_weights = v}) ==
          doctest::Approx((3 * l4 + 5 * l2) / 8));
    // s = 0.2: row 0 is 0.8 * l4 + 0.1 * (l4 + l43), row 1 l2.
    CHECK(loss_of(x, {0, 1}, {.label_smoothing = 0.2}) ==
          doctest::Approx((0.9 * l4 + 0.1 * l43 + l2) / 2));
    // With class weights every term of the smoothed part has its own: PyTorch's convention.
    const double row0 = 0.8 * 3 * l4 + 0.1 * (3 * l4 + l43), row1 = 0.8 * l2 + 0.1 * (3 * l2 + l2);
    CHECK(loss_of(x, {0, 1}, {.class_weights = w, .label_smoothing = 0.2}) ==
          doctest::Approx((row0 + row1) / 4));
  }
}

TEST_CASE("softmax_cross_entropy: the gradient is probability less target, over the batch") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape(cpu_stream(), dtype);
    const Tensor x = tape.watch(tensor({2, 2}, {0, std::log(3.0), 5, 5}, dtype));
    tape.backward(softmax_cross_entropy(tape, x, tensor({2}, {0, 1}, DType::i32)));
    const std::vector<double> dx = values(tape.gradient(x)), wanted = {-0.375, 0.375, 0.25, -0.25};
    for (int i = 0; i < 4; ++i) CHECK(dx[i] == doctest::Approx(wanted[i]));
  }
}

TEST_CASE("softmax_cross_entropy: logits of any size give a finite loss, NaN is not hidden") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    CHECK(loss_of(tensor({1, 2}, {3e4, -3e4}, dtype), {0}) == 0);
    CHECK(loss_of(tensor({1, 2}, {3e4, -3e4}, dtype), {1}) == 6e4);
    CHECK(std::isnan(loss_of(tensor({1, 3}, {0, NAN, 1}, dtype), {0})));
  }
}

TEST_CASE("softmax: rows sum to one") {
  Tape tape = Tape::off(cpu_stream());
  const std::vector<double> y =
      values(softmax(tape, tensor({2, 2}, {0, std::log(3.0), 900, 900}, DType::f32)));
  CHECK(y[0] == doctest::Approx(0.25));
  CHECK(y[1] == doctest::Approx(0.75));
  CHECK(y[2] == 0.5);
}

TEST_CASE("softmax_cross_entropy: errors name what was needed and what came") {
  const Tensor x = tensor({2, 2}, {0, 1, 2, 3});
  CHECK(contains(error_of([&] { loss_of(x, {0, 2}); }), "labels must be 0 to 1; row 1 has 2"));
  CHECK(contains(error_of([&] { loss_of(x, {-1, 1}); }), "row 0 has -1"));
  CHECK(contains(error_of([&] { loss_of(x, {0}); }),
                 "labels must be i32 [2], one a row of x [2, 2]; got i32 [1]"));
  CHECK(contains(error_of([&] {
                   loss_of(x, {0, 1}, {.class_weights = tensor({1}, {1})});
                 }),
                 "class_weights must be f32 or f64 [2]; got f64 [1]"));
  CHECK(contains(error_of([&] {
                   loss_of(x, {0, 1}, {.sample_weights = tensor({2}, {0, -1})});
                 }),
                 "sample_weights must be finite and not negative; got -1"));
  CHECK(contains(error_of([&] {
                   loss_of(x, {0, 1}, {.sample_weights = tensor({2}, {0, 0})});
                 }),
                 "the weights of all rows are zero"));
  CHECK(contains(error_of([&] {
                   loss_of(x, {0, 1}, {.class_weights = tensor({2}, {1, INFINITY})});
                 }),
                 "class_weights must be finite and not negative; got inf"));
  CHECK(contains(error_of([&] {
                   loss_of(x, {0, 1}, {.label_smoothing = 1.5});
                 }),
                 "label_smoothing must be 0 to 1; got 1.5"));
}
