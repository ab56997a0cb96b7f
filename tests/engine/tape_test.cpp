#include "engine/autograd/tape.hpp"

#include "engine/ops/elementwise.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

// y = a * b elementwise, in f64.
class ProductNode final : public Node {
 public:
  ProductNode(Tensor a, Tensor b) : a_(std::move(a)), b_(std::move(b)) {}
  const char* name() const override { return "product"; }
  int64_t saved_bytes() const override { return a_.bytes() + b_.bytes(); }
  std::vector<Tensor> backward(BackwardContext&, const Tensor& dy) override {
    Tensor da = empty_like(a_), db = empty_like(b_);
    for (int64_t i = 0; i < dy.size(); ++i) {
      da.at<double>(i) = dy.at<double>(i) * b_.at<double>(i);
      db.at<double>(i) = dy.at<double>(i) * a_.at<double>(i);
    }
    return {da, db};
  }

 private:
  Tensor a_, b_;
};

Tensor product(Tape& tape, const Tensor& a, const Tensor& b) {
  Tensor y = empty_like(a);
  for (int64_t i = 0; i < y.size(); ++i) y.at<double>(i) = a.at<double>(i) * b.at<double>(i);
  return tape.record(y, {a, b}, ProductNode(a, b));
}

}  // namespace

TEST_CASE("tape: gradients of a value used twice are added up") {  // y = x^3: dy/dx = 3 x^2
  Tape tape(cpu_stream(), DType::f64);
  const Tensor x = tape.watch(tensor({1}, {2}));
  const Tensor y = product(tape, product(tape, x, x), x);
  CHECK(tape.nodes().size() == 2);
  tape.backward(y);
  CHECK(values(tape.gradient(x)) == std::vector{12.0});
  CHECK(tape.nodes().empty());  // freed as they were used
}

TEST_CASE("tape: a parameter's gradient adds up over passes until it is cleared") {
  Parameter w("w", tensor({2}, {3, 4}));
  for (int pass = 0; pass < 2; ++pass) {
    Tape tape(cpu_stream(), DType::f64);
    tape.backward(product(tape, w.on(tape), tensor({2}, {1, 2})), tensor({2}, {1, 1}));
  }
  CHECK(values(w.gradient) == std::vector{2.0, 4.0});
  w.has_gradient = false;
  Tape tape(cpu_stream(), DType::f64);
  tape.backward(product(tape, w.on(tape), tensor({2}, {1, 2})), tensor({2}, {1, 1}));
  CHECK(values(w.gradient) == std::vector{1.0, 2.0});
}

TEST_CASE("tape: a parameter that is used twice gets the gradients of both uses") {
  Parameter w("w", tensor({2}, {3, 4}));
  Tape tape(cpu_stream(), DType::f64);
  const Tensor y = product(tape, w.on(tape), w.on(tape));
  tape.backward(y, tensor({2}, {1, 10}));
  CHECK(values(w.gradient) == std::vector{6.0, 80.0});
}

TEST_CASE("tape: off records nothing, and a frozen parameter gets no gradient") {
  Parameter w("w", tensor({1}, {3}));
  Tape off = Tape::off(cpu_stream(), DType::f64);
  CHECK(product(off, w.on(off), w.on(off)).variable == 0);
  w.trainable = false;
  Tape tape(cpu_stream(), DType::f64);
  const Tensor y = product(tape, w.on(tape), w.on(tape));
  CHECK(y.variable == 0);
  CHECK(contains(error_of([&] { tape.backward(y); }), "nothing with a gradient"));
}

TEST_CASE("tape: misuse is named") {
  Tape tape(cpu_stream(), DType::f64);
  const Tensor x = tape.watch(tensor({2}, {1, 2}));
  CHECK(
      contains(error_of([&] { tape.backward(product(tape, x, x)); }), "must be a scalar; got [2]"));
  const Tensor y = product(tape, x, x);
  tape.backward(y, tensor({2}, {1, 1}));
  CHECK(contains(error_of([&] { tape.backward(y, tensor({2}, {1, 1})); }), "used already"));
}

TEST_CASE("tape: a tensor of another tape is refused, though a place of that number is here") {
  Tape one(cpu_stream(), DType::f64), other(cpu_stream(), DType::f64);
  const Tensor x = one.watch(tensor({1}, {3})), strange = other.watch(tensor({1}, {5}));
  CHECK(x.variable == strange.variable);
  CHECK(contains(error_of([&] { product(one, x, strange); }), "belongs to another tape"));
  const Tensor y = product(one, x, x);
  CHECK(
      contains(error_of([&] { one.backward(product(other, strange, strange)); }), "on this tape"));
  one.backward(y);
  CHECK(values(one.gradient(x)) == std::vector{6.0});
  CHECK(contains(error_of([&] { one.gradient(strange); }), "not watched by this tape"));
}

TEST_CASE("tape: a gradient that two tensors share is not added into in place") {
  // y = (a + b) + a: add hands the same memory to both, then a's second gradient comes.
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape(cpu_stream(), dtype);
    const Tensor a = tape.watch(tensor({2}, {1, 2}, dtype));
    const Tensor b = tape.watch(tensor({2}, {5, 7}, dtype)), dy = tensor({2}, {1, 10}, dtype);
    tape.backward(add(tape, add(tape, a, b), a), dy);
    CHECK(values(tape.gradient(a)) == std::vector{2.0, 20.0});
    CHECK(values(tape.gradient(b)) == std::vector{1.0, 10.0});
    CHECK(values(dy) == std::vector{1.0, 10.0});
  }
}

TEST_CASE("tape: gradients carry the loss scale, a given dy does not") {
  const auto stream = Stream::cpu();
  stream->state()->loss_scale = 64;
  for (const bool scalar : {true, false}) {
    Tape tape(*stream, DType::f64);
    const Tensor x = tape.watch(tensor({1}, {3}));
    const Tensor y = product(tape, x, x);
    scalar ? tape.backward(y) : tape.backward(y, tensor({1}, {1}));
    CHECK(values(tape.gradient(x)) == std::vector{scalar ? 6.0 * 64 : 6.0});
  }
}
