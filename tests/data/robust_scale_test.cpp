#include "data/robust_scale.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/// The definition, without histograms: median and 1.4826 MAD of these values.
Affine by_definition(const std::vector<double>& values) {
  const double m = median(values);
  std::vector<double> away;
  for (const double v : values) away.push_back(std::abs(v - m));
  const double scale = std::max(1.0, 1.4826 * median(away));
  return {static_cast<float>(1 / scale), static_cast<float>(-m / scale)};
}

uint8_t gray(double value) { return static_cast<uint8_t>(std::clamp(value, 0.0, 255.0)); }

}  // namespace

TEST_CASE("robust_scale: median and MAD of the tissue, by the definition, background left out") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  // Three sequences: noise around 3, a background raised to 76 with tissue on both sides of it, and
  // a very dark one; tissue fills 40 %.
  constexpr int64_t kPixels = 4000, kTissue = 1600;
  std::vector<uint8_t> pixels;
  std::vector<std::vector<double>> tissue(3);
  for (int64_t i = 0; i < kPixels; ++i) {
    const bool inside = i < kTissue;
    const double noise = std::abs(normal(random)) * 2;
    const uint8_t values[3] = {gray(inside ? 60 + 12 * normal(random) : 2 + noise),
                               gray(inside ? 80 + 25 * normal(random) : 76 + (i % 2)),
                               gray(inside ? 15 + 3 * normal(random) : 1)};
    for (int c = 0; c < 3; ++c) {
      pixels.push_back(values[c]);
      if (inside) tissue[c].push_back(values[c]);
    }
  }
  // Two slices, to see that they are taken together.
  const std::vector<ScaleSlice> slices = {{pixels.data(), 1000}, {pixels.data() + 3000, 3000}};
  const std::vector<Affine> scale = robust_scale(slices, 3);
  REQUIRE(scale.size() == 3);
  for (int c = 0; c < 3; ++c) {
    const Affine expected = by_definition(tissue[c]);
    INFO("channel ", c);
    // A few pixels of tissue or noise lie on the other side of the threshold.
    CHECK(scale[c].a == doctest::Approx(expected.a).epsilon(0.03));
    CHECK(-scale[c].b / scale[c].a == doctest::Approx(-expected.b / expected.a).epsilon(0.02));
  }
}

TEST_CASE("robust_scale: exact for two separate levels, with an even number of pixels") {
  // Tissue 100, 101, 104, 110: median 102.5; deviations 2.5, 1.5, 1.5, 7.5; MAD 2.
  const std::vector<uint8_t> pixels = {0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 101, 104, 110};
  const Affine scale = robust_scale({{pixels.data(), 13}}, 1)[0];
  CHECK(scale.a == doctest::Approx(1 / (1.4826 * 2)));
  CHECK(scale.b == doctest::Approx(-102.5 / (1.4826 * 2)));
}

TEST_CASE("robust_scale: a constant channel has a finite positive scale") {
  const std::vector<uint8_t> constant(64, 7), two = [] {
    std::vector<uint8_t> pixels;
    for (int i = 0; i < 64; ++i) pixels.insert(pixels.end(), {0, static_cast<uint8_t>(i)});
    return pixels;
  }();
  const Affine flat = robust_scale({{constant.data(), 64}}, 1)[0];
  CHECK(flat.a == 1);
  CHECK(flat.b == -7);
  const std::vector<Affine> both = robust_scale({{two.data(), 64}}, 2);
  CHECK(both[0].a == 1);
  CHECK(both[0].b == 0);
  CHECK(both[1].a > 0);
  CHECK(std::isfinite(both[1].b));
}

TEST_CASE("robust_scale: photographs count every pixel") {
  std::vector<uint8_t> pixels(101);
  std::vector<double> values;
  for (size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<uint8_t>(i < 60 ? 0 : i);
    values.push_back(pixels[i]);
  }
  const Affine scale = robust_scale_of_all({{pixels.data(), 101}}, 1)[0];
  CHECK(scale.a == by_definition(values).a);
  CHECK(scale.b == by_definition(values).b);
}

TEST_CASE("robust_scale: nothing to measure is an error") {
  CHECK_THROWS_AS(robust_scale({}, 1), Error);
}
