#include "kernels/portable_math.hpp"

#include <cmath>
#include <random>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::kernels;

namespace {

// Largest error of `got` against `want`, both functions of one f32, over [low, high].
template <class Got, class Want, class Error>
double worst(double low, double high, const Got& got, const Want& want, const Error& error) {
  std::mt19937_64 random(test::fresh_seed());
  std::uniform_real_distribution<double> uniform(low, high);
  double largest = 0;
  for (int i = 0; i < 400000; ++i) {
    const float x = static_cast<float>(uniform(random));
    const double e = error(static_cast<double>(got(x)), want(static_cast<double>(x)));
    if (!(e <= largest)) largest = e;  // a NaN stays
  }
  return largest;
}

double relative(double got, double want) {
  return want == 0 ? std::abs(got) : std::abs(got - want) / std::abs(want);
}
double absolute(double got, double want) { return std::abs(got - want); }

}  // namespace

TEST_CASE("portable math: exp, log and sincos are as close to libm in f64 as their comments say") {
  const double exp_error = worst(
      -80, 80, [](float x) { return portable_exp(x); }, [](double x) { return std::exp(x); },
      relative);
  const auto log_of_exp = [](float x) { return portable_log(std::exp2(x)); };
  const double log_error = worst(
      -120, 120, log_of_exp, [](double x) { return std::log(double{std::exp2(float(x))}); },
      relative);
  const double log_near_1 = worst(
      0.99, 1.01, [](float x) { return portable_log(x); }, [](double x) { return std::log(x); },
      relative);
  const double tau = 2 * std::acos(-1.0);
  const double sine_error = worst(
      -3, 3, [](float x) { return portable_sincos(x).sine; },
      [&](double x) { return std::sin(tau * x); }, absolute);
  const double cosine_error = worst(
      -3, 3, [](float x) { return portable_sincos(x).cosine; },
      [&](double x) { return std::cos(tau * x); }, absolute);
  MESSAGE("exp ", exp_error, " log ", log_error, " near 1 ", log_near_1, " sine ", sine_error,
          " cosine ", cosine_error);
  CHECK(exp_error < 1.2e-7);
  CHECK(log_error < 1.4e-7);
  CHECK(log_near_1 < 1.4e-7);
  CHECK(sine_error < 1.2e-7);
  CHECK(cosine_error < 1.2e-7);
}

TEST_CASE("portable math: pow is as close as its comment says, and zero stays zero") {
  for (const float y : {0.3f, 0.6f, 1.0f, 1.5f, 3.0f}) {
    const double error = worst(
        1e-3, 30, [&](float x) { return portable_pow(x, y); },
        [&](double x) { return std::pow(x, double{y}); },
        [&](double got, double want) {
          return relative(got, want) / (1 + std::abs(std::log(want)));
        });
    CHECK(error < 1.5e-7);
    CHECK(portable_pow(0.0f, y) == 0.0f);
  }
  CHECK(portable_pow(1.0f, 2.7f) == 1.0f);
}

TEST_CASE("portable math: special points are exact") {
  CHECK(portable_exp(0.0f) == 1.0f);
  CHECK(portable_log(1.0f) == 0.0f);
  CHECK(portable_exp(-1000.0f) == portable_exp(-80.0f));
  for (int quarter = -9; quarter <= 9; ++quarter) {
    const SineCosine got = portable_sincos(0.25f * static_cast<float>(quarter));
    const int q = ((quarter % 4) + 4) % 4;
    CHECK(got.sine == (q == 1 ? 1.0f : (q == 3 ? -1.0f : 0.0f)));
    CHECK(got.cosine == (q == 0 ? 1.0f : (q == 2 ? -1.0f : 0.0f)));
  }
  CHECK(floor_to_int(-0.5f) == -1);
  CHECK(floor_to_int(-2.0f) == -2);
  CHECK(floor_to_int(2.75f) == 2);
  CHECK(round_to_even(2.5f) == 2.0f);
  CHECK(round_to_even(-3.5f) == -4.0f);
}

TEST_CASE("portable math: normal numbers have the moments and the tails of a normal law") {
  const PhiloxKey key{{static_cast<uint32_t>(test::fresh_seed()), 3}};
  INFO("seed ", key.word[0]);
  const int n = 1 << 20;
  double sum[4] = {}, lag = 0, before = 0;
  int beyond2 = 0;
  for (int i = 0; i < n; i += 4) {
    RandomPlace at{.position = static_cast<uint64_t>(i) / 4, .purpose = Purpose::noise};
    const NormalBlock block = normal(philox(key, counter_of(at)));
    for (int k = 0; k < 4; ++k) {
      const double x = block.value[k];
      double power = 1;
      for (double& s : sum) s += (power *= x);
      lag += x * before;
      before = x;
      beyond2 += std::abs(x) > 2;
    }
    at.position = static_cast<uint64_t>(i) + 2;
    CHECK_MESSAGE(normal_at(key, at) == block.value[2], "position ", i);
  }
  // Six standard errors of each mean (its variance under the normal law over n).
  const double root = 6 / std::sqrt(double(n));
  CHECK(std::abs(sum[0] / n) < root);
  CHECK(std::abs(sum[1] / n - 1) < root * std::sqrt(2.0));
  CHECK(std::abs(sum[2] / n) < root * std::sqrt(15.0));
  CHECK(std::abs(sum[3] / n - 3) < root * std::sqrt(96.0));
  CHECK(std::abs(lag / n) < root);
  CHECK(std::abs(beyond2 / double(n) - 0.0455003) < root * std::sqrt(0.0455 * 0.9545));
}

TEST_CASE("portable math: normal numbers stay finite at the ends of the words") {
  for (const uint32_t a : {0u, 511u, 512u, 0xffffffffu}) {
    for (const uint32_t b : {0u, 0x80000000u, 0xffffffffu}) {
      const NormalPair pair = normal_pair(a, b);
      CHECK(std::abs(pair.first) <= 5.77);
      CHECK(std::abs(pair.second) <= 5.77);
    }
  }
}
