#include "engine/ops/pool.hpp"

#include <algorithm>
#include <cmath>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("max_pool: a 2x2 window by hand, ties go to the first, NaN wins") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape(cpu_stream(), dtype);
    const Tensor x = tape.watch(tensor({1, 2, 4, 1}, {1, 7, 5, 5, 3, 2, 5, 4}, dtype));
    const Tensor y = max_pool(tape, x);
    CHECK(values(y) == std::vector{7.0, 5.0});
    tape.backward(y, tensor({1, 1, 2, 1}, {10, 20}, dtype));
    CHECK(values(tape.gradient(x)) == std::vector<double>{0, 10, 20, 0, 0, 0, 0, 0});
    Tape off = Tape::off(cpu_stream(), dtype);
    const Tensor nan = tensor({1, 2, 2, 1}, {1, NAN, 5, 7}, dtype);
    CHECK(std::isnan(values(max_pool(off, nan))[0]));
  }
}

TEST_CASE("max_pool: the last NaN of a window gets the gradient, in every lane and path") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const int64_t channels : {1, 16, 19}) {
      std::vector<double> v(4 * channels, 1), wanted(4 * channels, 0);
      for (int64_t c = 0; c < channels; ++c) {
        v[(c % 4) * channels + c] = NAN;
        v[channels + c] = NAN;  // pixel 1, in every channel
        wanted[std::max<int64_t>(1, c % 4) * channels + c] = 3;
      }
      Tape tape(cpu_stream(), dtype);
      const Tensor x = tape.watch(tensor({1, 2, 2, channels}, v, dtype));
      const Tensor y = max_pool(tape, x);
      for (const double value : values(y)) CHECK(std::isnan(value));
      tape.backward(y, tensor(y.shape, std::vector<double>(channels, 3), dtype));
      CHECK(values(tape.gradient(x)) == wanted);
    }
  }
}

TEST_CASE("max_pool: padding never wins, overlapping windows add up") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape(cpu_stream(), dtype);
    const Tensor x = tape.watch(tensor({1, 1, 3, 1}, {-5, -1, -2}, dtype));
    const Tensor y = max_pool(tape, x, {.kernel = 3, .stride = 1, .pad = Padding::all(1)});
    CHECK(values(y) == std::vector{-1.0, -1.0, -1.0});
    tape.backward(y, tensor({1, 1, 3, 1}, {1, 2, 4}, dtype));
    CHECK(values(tape.gradient(x)) == std::vector<double>{0, 7, 0});
  }
}

TEST_CASE("max_pool: pixels that no window meets get a zero gradient") {
  Tape tape(cpu_stream());
  const Tensor x = tape.watch(tensor({1, 3, 3, 1}, {1, 2, 3, 4, 9, 6, 7, 8, 5}, DType::f32));
  const Tensor y = max_pool(tape, x);
  tape.backward(y, tensor({1, 1, 1, 1}, {3}, DType::f32));
  CHECK(values(tape.gradient(x)) == std::vector<double>{0, 0, 0, 0, 3, 0, 0, 0, 0});
}

TEST_CASE("average_pool: padding counts or not") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape(cpu_stream(), dtype);
    const Tensor x = tape.watch(tensor({1, 2, 2, 1}, {1, 2, 3, 6}, dtype));
    const Tensor with = average_pool(tape, x, {.kernel = 2, .stride = 2, .pad = Padding::all(1)});
    CHECK(values(with) == std::vector{0.25, 0.5, 0.75, 1.5});
    const Tensor without = average_pool(
        tape, x, {.kernel = 2, .stride = 2, .pad = Padding::all(1), .count_padding = false});
    CHECK(values(without) == std::vector{1.0, 2.0, 3.0, 6.0});
    tape.backward(with, tensor({1, 2, 2, 1}, {4, 8, 12, 16}, dtype));
    CHECK(values(tape.gradient(x)) == std::vector{1.0, 2.0, 3.0, 4.0});
  }
}

TEST_CASE("global_average_pool: two channels by hand") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape(cpu_stream(), dtype);
    const Tensor x = tape.watch(tensor({1, 1, 2, 2}, {1, 10, 3, 30}, dtype));
    const Tensor y = global_average_pool(tape, x);
    CHECK(y.shape == Shape{1, 2});
    CHECK(values(y) == std::vector{2.0, 20.0});
    tape.backward(y, tensor({1, 2}, {1, 4}, dtype));
    CHECK(values(tape.gradient(x)) == std::vector{0.5, 2.0, 0.5, 2.0});
  }
}

TEST_CASE("pool: errors name what was needed and what came") {
  Tape tape = Tape::off(cpu_stream(), DType::f64);
  const Tensor x = tensor({1, 2, 2, 1}, {1, 2, 3, 4});
  CHECK(contains(error_of([&] {
                   max_pool(tape, tensor({2}, {1, 2}));
                 }),
                 "max_pool: x must be [N, H, W, C] and not empty; got [2]"));
  CHECK(contains(error_of([&] { max_pool(tape, x, {.kernel = 3}); }),
                 "the window of 3 is larger than x [1, 2, 2, 1] with padding {top 0"));
  CHECK(contains(error_of([&] { max_pool(tape, x, {.pad = Padding::all(2)}); }),
                 "each side of the padding must be 0 to kernel - 1 = 1; got {top 2"));
  CHECK(contains(error_of([&] { average_pool(tape, x, {.kernel = 16}); }),
                 "average_pool: kernel must be 1 to 15; got 16"));
  CHECK(contains(error_of([&] { average_pool(tape, x, {.stride = 0}); }),
                 "stride must be at least 1; got 0"));
  CHECK(contains(error_of([&] {
                   global_average_pool(tape, tensor({2}, {1, 2}));
                 }),
                 "global_average_pool: x must be [N, H, W, C]"));
}
