#include "models/initialize.hpp"

#include <algorithm>
#include <cmath>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::models;
using namespace gliograd::test;

namespace {

std::vector<double> draw(Init init, const Shape& shape, const RandomKey& key, uint32_t order = 0,
                         DType dtype = DType::f32) {
  Tensor w = empty(cpu_stream(), shape, dtype);
  initialize(w, init, fans_of(shape), key, order);
  return values(w);
}

}  // namespace

TEST_CASE("initialize: each method has the mean and variance of its paper") {
  const uint32_t seed = static_cast<uint32_t>(fresh_seed());
  INFO("seed ", seed);
  const Shape shape{128, 3, 3, 64};  // fan in 576, fan out 1152
  struct Expected {
    Init init;
    double variance;
  };
  // A normal cut at 2 deviations keeps 0.7737 of its variance.
  const Expected all[] = {{Init::he_normal, 2.0 / 576},
                          {Init::he_uniform, 2.0 / 576},
                          {Init::he_normal_fan_out, 2.0 / 1152},
                          {Init::glorot_normal, 2.0 / 1728},
                          {Init::glorot_uniform, 2.0 / 1728},
                          {Init::lecun_normal, 1.0 / 576},
                          {Init::truncated_normal02, 0.0004 * 0.77374}};
  for (const Expected& one : all) {
    CAPTURE(static_cast<int>(one.init));
    const std::vector<double> w = draw(one.init, shape, {.seed = seed});
    const double n = static_cast<double>(w.size());
    double sum = 0, squares = 0, largest = 0;
    for (const double v : w) {
      sum += v;
      squares += v * v;
      largest = std::max(largest, std::abs(v));
    }
    CHECK(std::abs(sum / n) < 6 * std::sqrt(one.variance / n));
    CHECK(std::abs(squares / n / one.variance - 1) < 6 * std::sqrt(2 / n));
    const bool uniform = one.init == Init::he_uniform || one.init == Init::glorot_uniform;
    if (uniform) CHECK(largest < 1.0001 * std::sqrt(3 * one.variance));
    if (one.init == Init::truncated_normal02) CHECK(largest <= 0.040001);
  }
}

TEST_CASE("initialize: numbers follow the key, the order and the element, nothing else") {
  const RandomKey key{.seed = 5, .fold = 3};
  const Shape shape{7, 3, 3, 5};
  for (const Init init : {Init::he_normal, Init::glorot_uniform, Init::truncated_normal02}) {
    const std::vector<double> w = draw(init, shape, key, 4);
    CHECK(w == draw(init, shape, key, 4));
    CHECK(w == draw(init, shape, key, 4, DType::f64));  // f64 starts from the f32 numbers
    CHECK(w != draw(init, shape, key, 5));
    CHECK(w != draw(init, shape, {.seed = 5, .fold = 4}, 4));
    CHECK(w != draw(init, shape, {.seed = 6, .fold = 3}, 4));
    // No number appears twice within a small tensor (a lane or block used twice would).
    std::vector<double> sorted = w;
    std::sort(sorted.begin(), sorted.end());
    CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
  }
  CHECK(draw(Init::zeros, {3, 2}, key) == std::vector<double>(6, 0.0));
  CHECK(draw(Init::ones, {3, 2}, key) == std::vector<double>(6, 1.0));
}

TEST_CASE("initialize: fans of convolutions, groups and linear layers") {
  CHECK(fans_of({8, 3, 5, 4}).in == 60);
  CHECK(fans_of({8, 3, 5, 4}).out == 120);
  CHECK(fans_of({8, 3, 3, 1}, 8).in == 9);   // depthwise
  CHECK(fans_of({8, 3, 3, 1}, 8).out == 9);  // each input channel reaches one output channel
  CHECK(fans_of({10, 7}).in == 7);
  CHECK(fans_of({10, 7}).out == 10);
  CHECK(contains(error_of([] { fans_of({3}); }), "[out, kh, kw, in/groups] or [out, in]; got [3]"));
}
