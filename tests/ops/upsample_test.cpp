#include "engine/ops/upsample.hpp"

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("upsample: nearest and linear by hand, forward and back") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape(cpu_stream(), dtype);
    const Tensor x = tape.watch(tensor({1, 1, 3, 1}, {0, 4, 8}, dtype));
    const Tensor repeated = upsample(tape, x);
    CHECK(repeated.shape == Shape{1, 2, 6, 1});
    CHECK(values(repeated) == std::vector<double>{0, 0, 4, 4, 8, 8, 0, 0, 4, 4, 8, 8});
    tape.backward(repeated, tensor({1, 2, 6, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, dtype));
    CHECK(values(tape.gradient(x)) == std::vector<double>{18, 26, 34});

    // Centers at -1/4, 1/4, 3/4, 5/4, 7/4, 9/4: the first and the last are held at the edge.
    Tape other(cpu_stream(), dtype);
    const Tensor again = other.watch(x.detached());
    const Tensor between = upsample(other, again, {.interpolation = Interpolation::linear});
    CHECK(values(between) == std::vector<double>{0, 1, 3, 5, 7, 8, 0, 1, 3, 5, 7, 8});
    other.backward(between, tensor({1, 2, 6, 1}, {4, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 8}, dtype));
    CHECK(values(other.gradient(again)) == std::vector<double>{8, 8, 16});
  }
}

TEST_CASE("upsample: a constant stays, and what flows back is what came, by any factor") {
  for (const Interpolation how : {Interpolation::nearest, Interpolation::linear}) {
    for (const int64_t factor : {1, 2, 3, 5, 8}) {
      Tape tape(cpu_stream(), DType::f64);
      const Tensor x = tape.watch(tensor({1, 3, 2, 1}, std::vector<double>(6, 2.5), DType::f64));
      const Tensor y = upsample(tape, x, {.factor = factor, .interpolation = how});
      for (const double v : values(y)) CHECK(v == doctest::Approx(2.5));
      tape.backward(y, tensor(y.shape, std::vector<double>(y.size(), 1), DType::f64));
      double sum = 0;
      for (const double v : values(tape.gradient(x))) sum += v;
      CHECK(sum == doctest::Approx(static_cast<double>(y.size())));
    }
  }
}

TEST_CASE("upsample: what it needs, in words") {
  Tape tape(cpu_stream());
  CHECK(contains(error_of([&] {
                   upsample(tape, empty(cpu_stream(), {2, 3}));
                 }),
                 "upsample: x must be [N, H, W, C] and not empty; got [2, 3]"));
  const Tensor x = empty(cpu_stream(), {1, 2, 2, 1});
  CHECK(contains(error_of([&] { upsample(tape, x, {.factor = 0}); }),
                 "upsample: factor must be 1 to 64; got 0"));
}
