#include "engine/autograd/tape.hpp"

#include "engine/tensor/cast.hpp"
#include "engine/tensor/layout.hpp"
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

TEST_CASE("arena: a block that was given back is handed out again") {
  CachingAllocator arena(host_memory());
  void* first = arena.allocate(1000);
  arena.release(first, 1000);
  CHECK(arena.allocate(1010) == first);  // the same size step
  CHECK(arena.stats().source_calls == 1);
  arena.release(first, 1010);
  CHECK(arena.stats().in_use_bytes == 0);
  arena.trim();
  CHECK(arena.stats().held_bytes == 0);
}

TEST_CASE("cast: 16-bit floats round to nearest even, and keep infinities, NaN and subnormals") {
  CHECK(to_float(to_bf16(1.0f)) == 1.0f);
  CHECK(to_bf16(1.00390625f).bits == to_bf16(1.0f).bits);  // a tie: 1 + 2^-8 goes to even
  CHECK(to_bf16(1.01171875f).bits == 0x3f82);              // a tie: 1 + 3 * 2^-8 goes up
  CHECK(std::isnan(to_float(to_bf16(NAN))));
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {  // every f16 survives the way through f32
    const f16 h{static_cast<uint16_t>(bits)};
    const float x = to_float(h);
    if (std::isnan(x)) {
      CHECK(std::isnan(to_float(to_f16(x))));
    } else if (to_f16(x).bits != h.bits) {
      FAIL("f16 ", bits, " came back as ", to_f16(x).bits);
    }
  }
  CHECK(to_float(to_f16(65519.0f)) == 65504.0f);
  CHECK(std::isinf(to_float(to_f16(65520.0f))));
  CHECK(to_float(to_f16(std::ldexp(1.0f, -25))) == 0.0f);  // a tie: to even
}

TEST_CASE("layout: there and back is the identity, pads with zeros and is counted") {
  std::vector<double> v(2 * 3 * 2 * 20);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(i);
  const Tensor x = tensor({2, 3, 2, 20}, v, DType::f32);
  const int64_t before = layout_conversions().count;
  const Tensor blocked = to_layout(x, Layout::blocked16);
  CHECK(blocked.storage()->bytes() == 2 * 3 * 2 * 32 * 4);
  CHECK(blocked.at<float>(6 * 16 + 0) == 16);  // pixel 0, channel 16
  CHECK(blocked.at<float>(6 * 16 + 4) == 0);   // channel 20 is padding
  CHECK(values(to_layout(blocked, Layout::nhwc)) == v);
  CHECK(layout_conversions().count == before + 2);
}

TEST_CASE("shape: overflow, rank and negative axes are refused") {
  CHECK(contains(error_of([] { Shape({int64_t{1} << 40, int64_t{1} << 40}); }), "overflows"));
  CHECK(contains(error_of([] { Shape({1, 1, 1, 1, 1, 1}); }), "at most 5 axes"));
  CHECK(contains(error_of([] { Shape({-1}); }), "must not be negative"));
  CHECK(to_string(Shape{2, 3}) == "[2, 3]");
  CHECK(Shape{2, 3}.dim(-1) == 3);
}
