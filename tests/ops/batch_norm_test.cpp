#include "engine/ops/batch_norm.hpp"

#include <cmath>
#include <random>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

RunningStats fresh_stats(int64_t channels, DType dtype = DType::f64) {
  return {tensor({channels}, std::vector<double>(channels, 0), dtype),
          tensor({channels}, std::vector<double>(channels, 1), dtype)};
}

}  // namespace

TEST_CASE("batch_norm: two values by hand") {  // 1 and 3: mean 2, var 1, so y = 10 -+ 5
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Tensor x = tensor({2, 1, 1, 1}, {1, 3}, dtype), gamma = tensor({1}, {5}, dtype),
                 beta = tensor({1}, {10}, dtype);
    RunningStats running = fresh_stats(1, dtype);
    Tape tape = Tape::off(cpu_stream(), dtype);
    CHECK(values(batch_norm(tape, x, gamma, beta, running, {.eps = 0})) == std::vector{5.0, 15.0});
    // 0.9 * 0 + 0.1 * 2, and 0.9 * 1 + 0.1 * 2: the unbiased variance of 1 and 3 is 2.
    CHECK(values(running.mean)[0] == doctest::Approx(0.2));
    CHECK(values(running.var)[0] == doctest::Approx(1.1));
  }
}

TEST_CASE("batch_norm: eval uses the running statistics and leaves them alone") {
  const Tensor x = tensor({1, 1, 2, 1}, {1, 3}, DType::f32), one = tensor({1}, {1}, DType::f32),
               zero = tensor({1}, {0}, DType::f32);
  RunningStats running{tensor({1}, {1}, DType::f32), tensor({1}, {4}, DType::f32)};
  Tape tape = Tape::off(cpu_stream());
  const Tensor y = batch_norm(tape, x, one, zero, running, {.eps = 0, .mode = Mode::eval});
  CHECK(values(y) == std::vector{0.0, 1.0});
  CHECK(values(running.mean) == std::vector{1.0});
  CHECK(values(running.var) == std::vector{4.0});
}

TEST_CASE("batch_norm: a large mean costs no accuracy") {  // E[x^2] - E[x]^2 would give noise
  std::vector<double> v(1000);
  for (size_t i = 0; i < v.size(); ++i) v[i] = 4096.0 + (i % 2 == 0 ? 0.5 : -0.5);
  RunningStats running = fresh_stats(1, DType::f32);
  Tape tape = Tape::off(cpu_stream());
  const Tensor y =
      batch_norm(tape, tensor({10, 10, 10, 1}, v, DType::f32), tensor({1}, {1}, DType::f32),
                 tensor({1}, {0}, DType::f32), running, {.eps = 0});
  CHECK(values(y)[0] == doctest::Approx(1.0).epsilon(1e-6));
  CHECK(values(y)[1] == doctest::Approx(-1.0).epsilon(1e-6));
}

// The case compares its rows on one image, where sums are too short to go wrong. On this batch the
// worst of 20 seeds is 1.4e-7; one running f32 sum a channel would give y 2e-5 to 3e-5,
// dgamma 1.4e-5 to 4e-5, dbeta 1.5e-6 to 1.1e-5.
TEST_CASE("batch_norm: sums over a whole batch keep the accuracy of f32") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  const Shape shape{32, 80, 80, 2};
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> x(shape.size()), dy(shape.size());
  for (double& v : x) v = static_cast<float>(normal(random));
  for (size_t i = 0; i < dy.size(); ++i) {  // so that neither gradient is a sum that cancels
    dy[i] = static_cast<float>(normal(random) + x[i] + 1);
  }
  const auto run = [&](DType dtype) {
    RunningStats running = fresh_stats(2, dtype);
    Tape tape(cpu_stream(), dtype);
    const Tensor gamma = tape.watch(tensor({2}, {0.75, 1.5}, dtype));
    const Tensor beta = tape.watch(tensor({2}, {0.25, -0.5}, dtype));
    const Tensor y = batch_norm(tape, tensor(shape, x, dtype), gamma, beta, running, {});
    tape.backward(y, tensor(shape, dy, dtype));
    return std::vector{values(y), values(tape.gradient(gamma)), values(tape.gradient(beta))};
  };
  const auto expected = run(DType::f64), got = run(DType::f32);
  for (size_t i = 0; i < expected.size(); ++i) {
    double error = 0, norm = 0;
    for (size_t k = 0; k < expected[i].size(); ++k) {
      error += (got[i][k] - expected[i][k]) * (got[i][k] - expected[i][k]);
      norm += expected[i][k] * expected[i][k];
    }
    INFO("y, dgamma, dbeta: ", i, ", error ", std::sqrt(error / norm));
    CHECK(error <= 1e-12 * norm);
  }
}

TEST_CASE("batch_norm: the same bits for any number of threads, and NaN is not hidden") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::vector<double> v(4 * 33 * 31 * 20);
  uint64_t word = seed | 1;
  for (double& x : v) {
    word = word * 6364136223846793005u + 1442695040888963407u;
    x = static_cast<double>(static_cast<int32_t>(word >> 32)) * 0x1p-30;
  }
  const auto run = [&](int threads) {
    const auto stream = Stream::cpu({.threads = threads});
    RunningStats running = fresh_stats(20, DType::f32);
    Tape tape(*stream);
    const Tensor x = tape.watch(tensor({4, 33, 31, 20}, v, DType::f32));
    const Tensor y = batch_norm(tape, x, tensor({20}, std::vector<double>(20, 1.5), DType::f32),
                                tensor({20}, std::vector<double>(20, 0.1), DType::f32), running,
                                {.activation = Activation::relu});
    tape.backward(y, tensor({4, 33, 31, 20}, v, DType::f32));
    std::vector<double> all = values(y), dx = values(tape.gradient(x)), mean = values(running.mean);
    all.insert(all.end(), dx.begin(), dx.end());
    all.insert(all.end(), mean.begin(), mean.end());
    return all;
  };
  CHECK(run(1) == run(3));
  v[5] = NAN;
  CHECK(std::isnan(run(1)[25]));  // the same channel, another pixel
}

TEST_CASE("batch_norm: relu without residual keeps no output for the backward pass") {
  const Tensor x = tensor({1, 2, 2, 1}, {1, 2, 3, 4}, DType::f32), g = tensor({1}, {1}, DType::f32);
  RunningStats running = fresh_stats(1, DType::f32);
  Tape tape(cpu_stream());
  batch_norm(tape, tape.watch(x), g, g, running, {.activation = Activation::relu});
  REQUIRE(tape.nodes().size() == 1);
  CHECK(tape.nodes()[0].first == "batch_norm");
  CHECK(tape.nodes()[0].second == x.bytes() + 4 * 4);
}

TEST_CASE("batch_norm: the gradient that it is given stays as it was") {
  const std::vector<double> v = {1, -2, 3, -4, 5, 6, 7, -8};
  for (const bool with_residual : {false, true}) {
    for (const Activation activation : {Activation::none, Activation::relu}) {
      const Tensor z = tensor({2, 2, 1, 2}, v, DType::f32),
                   dy = tensor({2, 2, 1, 2}, v, DType::f32);
      const Tensor two = tensor({2}, {1.5, -0.5}, DType::f32);
      RunningStats running = fresh_stats(2, DType::f32);
      Tape tape(cpu_stream());
      const Tensor x = tape.watch(tensor({2, 2, 1, 2}, v, DType::f32));
      tape.backward(
          batch_norm(tape, x, two, two, running,
                     {.residual = with_residual ? &z : nullptr, .activation = activation}),
          dy);
      CHECK(values(dy) == v);
      CHECK(values(z) == v);
      CHECK(values(x) == v);
    }
  }
}

TEST_CASE("batch_norm: errors name what was needed and what came") {
  Tape tape = Tape::off(cpu_stream(), DType::f64);
  const Tensor x = tensor({1, 2, 2, 2}, std::vector<double>(8, 1)), two = tensor({2}, {1, 1}),
               three = tensor({3}, {1, 1, 1});
  RunningStats running = fresh_stats(2);
  CHECK(contains(error_of([&] { batch_norm(tape, x, three, two, running); }),
                 "batch_norm: gamma must be f64 [2], one value per channel of x [1, 2, 2, 2]; got "
                 "f64 [3]\n  at engine/ops/batch_norm.cpp:"));
  CHECK(contains(error_of([&] { batch_norm(tape, two, two, two, running); }),
                 "x must be [N, H, W, C]; got [2]"));
  CHECK(contains(error_of([&] {
                   batch_norm(tape, tensor({1, 1, 1, 2}, {1, 2}), two, two, running);
                 }),
                 "needs 2 values per channel; got [1, 1, 1, 2]"));
  CHECK(contains(error_of([&] { batch_norm(tape, x, two, two, running, {.residual = &two}); }),
                 "the residual must be f64 [1, 2, 2, 2] as x; got f64 [2]"));
  CHECK(contains(error_of([&] { batch_norm(tape, x, two, two, running, {.momentum = 2}); }),
                 "momentum must be 0 to 1; got 2"));
}
