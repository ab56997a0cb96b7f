#include "engine/ops/elementwise.hpp"

#include <cmath>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("elementwise: values and gradients by hand") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const auto check = [&](auto op, std::vector<double> y_wanted, std::vector<double> dx_wanted) {
      Tape tape(cpu_stream(), dtype);
      const Tensor x = tape.watch(tensor({3}, {-2, 0, 4}, dtype));
      const Tensor y = op(tape, x);
      tape.backward(y, tensor({3}, {8, 8, 8}, dtype));
      const std::vector<double> got = values(y), dx = values(tape.gradient(x));
      for (int i = 0; i < 3; ++i) {
        CHECK(got[i] == doctest::Approx(y_wanted[i]).epsilon(1e-6));
        CHECK(dx[i] == doctest::Approx(dx_wanted[i]).epsilon(1e-6));
      }
    };
    check([](Tape& t, const Tensor& x) { return relu(t, x); }, {0, 0, 4}, {0, 0, 8});
    check([](Tape& t, const Tensor& x) { return leaky_relu(t, x, 0.25); }, {-0.5, 0, 4}, {2, 2, 8});
    // sigmoid(-2) = 0.1192029220, sigmoid(4) = 0.9820137900; times (1 - itself) times 8
    check([](Tape& t, const Tensor& x) { return sigmoid(t, x); }, {0.1192029220, 0.5, 0.9820137900},
          {0.8399486832, 2, 0.1413016497});
  }
}

TEST_CASE("elementwise: NaN stays NaN, large arguments stay finite") {
  Tape tape = Tape::off(cpu_stream());
  const Tensor x = tensor({4}, {NAN, -1e30, 1e30, -INFINITY}, DType::f32);
  CHECK(std::isnan(values(relu(tape, x))[0]));
  CHECK(values(relu(tape, x))[3] == 0);
  CHECK(std::isnan(values(leaky_relu(tape, x))[0]));
  const std::vector<double> s = values(sigmoid(tape, x));
  CHECK(std::isnan(s[0]));
  CHECK(s[1] < 1e-34);
  CHECK(s[2] == 1);
}

TEST_CASE("add: a tensor added to itself gets its gradient twice") {
  Tape tape(cpu_stream());
  const Tensor x = tape.watch(tensor({2}, {1, 2}, DType::f32));
  const Tensor y = relu(tape, add(tape, x, x));
  CHECK(values(y) == std::vector{2.0, 4.0});
  const Tensor dy = tensor({2}, {3, 5}, DType::f32);
  tape.backward(y, dy);
  CHECK(values(tape.gradient(x)) == std::vector{6.0, 10.0});
  CHECK(values(dy) == std::vector{3.0, 5.0});  // the caller's gradient is not overwritten
}

TEST_CASE("elementwise: errors name what was needed and what came") {
  Tape tape = Tape::off(cpu_stream(), DType::f64);
  CHECK(contains(error_of([&] {
                   add(tape, tensor({2}, {1, 2}), tensor({1}, {1}));
                 }),
                 "add: both must have one shape and type; got f64 [2] and f64 [1]"));
  CHECK(contains(error_of([&] { leaky_relu(tape, tensor({1}, {1}), -1); }),
                 "leaky_relu: slope must not be negative; got -1"));
}
