#include "engine/ops/linear.hpp"

#include <cmath>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("linear: two rows by hand, forward and gradients") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape(cpu_stream(), dtype);
    const Tensor x = tape.watch(tensor({2, 2}, {1, 2, 3, 4}, dtype));
    const Tensor w = tape.watch(tensor({3, 2}, {1, 0, 0, 1, 1, 1}, dtype));
    const Tensor b = tape.watch(tensor({3}, {10, 20, 30}, dtype));
    const Tensor y = linear(tape, x, w, b);
    CHECK(values(y) == std::vector<double>{11, 22, 33, 13, 24, 37});
    tape.backward(y, tensor({2, 3}, {1, 0, 2, 0, 1, 0}, dtype));
    CHECK(values(tape.gradient(x)) == std::vector<double>{3, 2, 0, 1});
    CHECK(values(tape.gradient(w)) == std::vector<double>{1, 2, 3, 4, 2, 4});
    CHECK(values(tape.gradient(b)) == std::vector<double>{1, 1, 2});
  }
}

TEST_CASE("linear: with a ReLU behind it, by hand, forward and gradients") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    Tape tape(cpu_stream(), dtype);
    const Tensor x = tape.watch(tensor({2, 2}, {1, 2, 3, -4}, dtype));
    const Tensor w = tape.watch(tensor({3, 2}, {1, 0, 0, 1, 1, 1}, dtype));
    const Tensor b = tape.watch(tensor({3}, {-1, 1, 2}, dtype));
    const Tensor y = linear(tape, x, w, b, Activation::relu);
    CHECK(values(y) == std::vector<double>{0, 3, 5, 2, 0, 1});
    tape.backward(y, tensor({2, 3}, {5, 1, 2, 3, 7, 4}, dtype));  // 5 and 7 meet a 0
    CHECK(values(tape.gradient(x)) == std::vector<double>{2, 3, 7, 4});
    CHECK(values(tape.gradient(w)) == std::vector<double>{9, -12, 1, 2, 14, -12});
    CHECK(values(tape.gradient(b)) == std::vector<double>{3, 1, 6});
  }
}

TEST_CASE("linear: the same bits for any number of threads") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  const auto run = [&](int threads) {
    const auto stream = Stream::cpu({.threads = threads});
    uint64_t state = seed;
    const auto fill = [&](const Shape& shape) {
      std::vector<double> v(shape.size());
      for (double& value : v) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        value = static_cast<double>(state >> 40) * 0x1p-23 - 1;
      }
      return from_values(*stream, shape, v);
    };
    Tape tape(*stream);
    const Tensor x = tape.watch(fill({70, 37})), w = tape.watch(fill({51, 37}));
    const Tensor b = tape.watch(fill({51}));
    const Tensor y = linear(tape, x, w, b);
    tape.backward(y, fill(y.shape));
    return std::vector{values(y), values(tape.gradient(x)), values(tape.gradient(w)),
                       values(tape.gradient(b))};
  };
  CHECK(run(2) == run(1));
  CHECK(run(3) == run(1));
}

TEST_CASE("linear: packed weights are made anew when the parameter changes") {
  Parameter w("w", tensor({1, 2}, {1, 2}, DType::f32));
  const auto once = [&] {
    Tape tape = Tape::off(cpu_stream());
    return values(linear(tape, tensor({1, 2}, {1, 1}, DType::f32), w.on(tape), {}));
  };
  CHECK(once() == std::vector<double>{3});
  w.master.at<float>(0) = 5;
  w.bump();
  CHECK(once() == std::vector<double>{7});
}

TEST_CASE("linear: a NaN reaches its row, and no other") {
  for (const Activation activation : {Activation::none, Activation::relu}) {
    Tape tape = Tape::off(cpu_stream());
    const auto y = values(linear(tape, tensor({2, 2}, {1, NAN, 1, 1}, DType::f32),
                                 tensor({2, 2}, {0, 0, 1, 1}, DType::f32), {}, activation));
    CHECK(std::isnan(y[0]));
    CHECK(std::isnan(y[1]));
    CHECK(y[2] == 0);
    CHECK(y[3] == 2);
  }
}

TEST_CASE("linear: wrong arguments are named with their shapes") {
  Tape tape = Tape::off(cpu_stream(), DType::f64);
  const auto error = [&](const Tensor& x, const Tensor& w, const Tensor& b) {
    return error_of([&] { linear(tape, x, w, b); });
  };
  const auto filled = [](const Shape& shape) { return zeros(cpu_stream(), shape, DType::f64); };
  CHECK(contains(error(filled({3}), filled({2, 3}), {}), "linear: x must be [N, in]; got [3]"));
  CHECK(contains(error(filled({1, 3}), filled({6}), {}), "weight must be [out, in]; got [6]"));
  CHECK(contains(error(filled({1, 3}), filled({2, 4}), {}),
                 "weight must be [out, 3], one column per value of a row of x [1, 3]; got [2, 4]"));
  CHECK(contains(error(filled({1, 3}), filled({2, 3}), filled({3})),
                 "bias must be [2], one value per row of weight [2, 3]; got [3]"));
  CHECK(contains(error(filled({0, 3}), filled({2, 3}), {}), "nothing to compute: x [0, 3]"));
  CHECK(contains(error(filled({1, 3}), zeros(cpu_stream(), {2, 3}), {}),
                 "weight must be f64 as x is; got f32"));
  const auto leaky = [&] {
    linear(tape, filled({1, 3}), filled({2, 3}), {}, Activation::leaky_relu);
  };
  CHECK(contains(error_of(leaky), "linear: the activation must be none or relu"));
}
