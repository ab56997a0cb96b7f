#include "engine/ops/concat.hpp"

#include "engine/ops/elementwise.hpp"
#include "engine/tensor/layout.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("concat: channels in order, and each part gets its own gradient") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape(cpu_stream(), dtype);
    const Tensor a = tape.watch(tensor({2, 1}, {1, 2}, dtype)),
                 b = tape.watch(tensor({2, 2}, {3, 4, 5, 6}, dtype));
    const Tensor y = concat(tape, {a, b});
    CHECK(y.shape == Shape{2, 3});
    CHECK(values(y) == std::vector<double>{1, 3, 4, 2, 5, 6});
    tape.backward(y, tensor({2, 3}, {10, 20, 30, 40, 50, 60}, dtype));
    CHECK(values(tape.gradient(a)) == std::vector<double>{10, 40});
    CHECK(values(tape.gradient(b)) == std::vector<double>{20, 30, 50, 60});
  }
}

TEST_CASE("concat: a part without a gradient keeps its place") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape(cpu_stream(), dtype);
    const Tensor first = tensor({1, 2}, {1, 2}, dtype);
    const Tensor last = tape.watch(tensor({1, 1}, {3}, dtype));
    const Tensor y = concat(tape, {first, last});
    tape.backward(y, tensor({1, 3}, {10, 20, 30}, dtype));
    CHECK(values(tape.gradient(last)) == std::vector<double>{30});
  }
}

TEST_CASE("concat: errors name what was needed and what came") {
  Tape tape = Tape::off(cpu_stream(), DType::f64);
  CHECK(contains(error_of([&] { concat(tape, {}); }), "concat: needs at least one tensor"));
  CHECK(contains(error_of([&] {
                   concat(tape, {tensor({2, 1}, {1, 2}), tensor({1, 2}, {1, 2})});
                 }),
                 "all axes but the last, and the type, must agree; got f64 [2, 1] and f64 [1, 2]"));
}

TEST_CASE("tape: gradients that come back in two layouts are added up") {
  Tape tape(cpu_stream());
  const Tensor x =
      tape.watch(to_layout(tensor({1, 1, 1, 3}, {1, -2, 3}, DType::f32), Layout::blocked16));
  const Tensor plain = concat(tape, {x});  // hands its gradient back in nhwc
  const Tensor y = add(tape, plain, relu(tape, x));
  tape.backward(y, tensor({1, 1, 1, 3}, {10, 20, 30}, DType::f32));
  CHECK(values(tape.gradient(x)) == std::vector<double>{20, 20, 60});
}
