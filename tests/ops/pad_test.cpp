#include "engine/ops/pad.hpp"

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("pad_channels: zeros behind each row, and their gradient is dropped") {
  Tape tape(cpu_stream());
  const Tensor x = tape.watch(tensor({2, 2}, {1, 2, 3, 4}, DType::f32));
  const Tensor y = pad_channels(tape, x, 3);
  CHECK(values(y) == std::vector<double>{1, 2, 0, 3, 4, 0});
  tape.backward(y, tensor({2, 3}, {1, 2, 3, 4, 5, 6}, DType::f32));
  CHECK(values(tape.gradient(x)) == std::vector<double>{1, 2, 4, 5});
}

TEST_CASE("pad_channels: fewer channels than there are is refused") {
  Tape tape(cpu_stream());
  const Tensor x = tensor({2, 5}, std::vector<double>(10, 1), DType::f32);
  CHECK(contains(error_of([&] { pad_channels(tape, x, 4); }), "pad_channels: x must have 1 to 4"));
  CHECK(contains(error_of([&] { pad_channels(tape, {}, 4); }), "undefined"));
}
