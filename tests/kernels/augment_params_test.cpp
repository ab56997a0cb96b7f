#include <cmath>
#include <functional>

#include "kernels/augment_map.hpp"
#include "tests/support/support.hpp"

using namespace gliograd::kernels;
using gliograd::test::fresh_seed;

namespace {

InputSpec three_sequences() {
  return {.sequence_count = 3, .sequences = {0, 1, 2}, .height = 80, .width = 64};
}

struct Moments {
  double mean = 0, deviation = 0, low = 1e9, high = -1e9;
};

Moments moments(uint32_t seed, const AugmentOptions& o,
                const std::function<double(const AugmentParams&)>& value) {
  const int n = 4000;
  double sum = 0, squares = 0;
  Moments m;
  for (int i = 0; i < n; ++i) {
    const double v =
        value(draw_augment({{seed, 9}}, 2, static_cast<uint32_t>(i), o, three_sequences()));
    sum += v;
    squares += v * v;
    m.low = std::min(m.low, v);
    m.high = std::max(m.high, v);
  }
  m.mean = sum / n;
  m.deviation = std::sqrt(squares / n - m.mean * m.mean);
  return m;
}

// Uniform from low to high: mean and deviation within five standard errors, both ends reached.
void check_uniform(const Moments& m, double low, double high) {
  const double deviation = (high - low) / std::sqrt(12.0);
  CHECK(std::abs(m.mean - (low + high) / 2) < 5 * deviation / std::sqrt(4000.0));
  CHECK(std::abs(m.deviation - deviation) < 0.05 * deviation);
  CHECK(m.low >= low);
  CHECK(m.high <= high);
  CHECK(m.low < low + 0.01 * (high - low));
  CHECK(m.high > high - 0.01 * (high - low));
}

}  // namespace

TEST_CASE("augment parameters: by default nothing is drawn") {
  for (uint32_t i = 0; i < 100; ++i) {
    const AugmentParams p = draw_augment({{1, 2}}, 0, i, {}, three_sequences());
    CHECK(p.flip_y + p.flip_x + p.quarter_turns == 0);
    CHECK((p.rotation == 0 && p.scale == 1 && p.stretch == 1 && p.shear == 0 && p.elastic == 0));
    CHECK((p.shift_y == 0 && p.shift_x == 0 && p.cutout[2] == 0));
    for (const ChannelParams& c : p.channel) {
      CHECK((c.brightness == 0 && c.contrast == 1 && c.gamma == 1 && c.bias == 0 && c.rician == 0));
      CHECK((c.gaussian == 0 && c.blur == 0 && c.low_resolution == 1 && c.dropped == 0));
    }
  }
}

TEST_CASE("augment parameters: strengths are uniform over their ranges, in the stated unit") {
  const uint32_t seed = static_cast<uint32_t>(fresh_seed());
  INFO("seed ", seed);
  AugmentOptions o;
  o.rotation_probability = o.scale_probability = o.stretch_probability = o.shear_probability = 1;
  o.translation_probability = o.elastic_probability = o.brightness_probability = 1;
  o.contrast_probability = o.gamma_probability = o.bias_probability = o.rician_probability = 1;
  o.noise_probability = o.blur_probability = o.low_resolution_probability = 1;
  o.rotation_degrees = 25, o.scale_percent = 20, o.stretch_percent = 10, o.shear_degrees = 8;
  o.translation_pixels = 6, o.elastic_pixels = 5, o.brightness_percent = 30;
  o.contrast_percent = 40, o.gamma_percent = 50, o.bias_percent = 30, o.rician_percent = 10;
  o.noise_percent = 20, o.blur_pixels = 1.5f, o.low_resolution_factor = 3;
  const auto check = [&](double low, double high,
                         const std::function<double(const AugmentParams&)>& value) {
    check_uniform(moments(seed, o, value), low, high);
  };
  check(-25, 25, [](const AugmentParams& p) { return p.rotation; });
  check(-std::log(1.2), std::log(1.2),
        [](const AugmentParams& p) { return std::log(double{p.scale}); });
  check(-std::log(1.1), std::log(1.1),
        [](const AugmentParams& p) { return std::log(double{p.stretch}); });
  check(-8, 8, [](const AugmentParams& p) { return p.shear; });
  check(-6, 6, [](const AugmentParams& p) { return p.shift_y; });
  check(-6, 6, [](const AugmentParams& p) { return p.shift_x; });
  check(0, 5, [](const AugmentParams& p) { return p.elastic; });
  for (int c = 0; c < 3; ++c) {
    check(-0.3, 0.3, [c](const AugmentParams& p) { return p.channel[c].brightness; });
    check(-std::log(1.4), std::log(1.4),
          [c](const AugmentParams& p) { return std::log(double{p.channel[c].contrast}); });
    check(-std::log(1.5), std::log(1.5),
          [c](const AugmentParams& p) { return std::log(double{p.channel[c].gamma}); });
    check(0, 0.3, [c](const AugmentParams& p) { return p.channel[c].bias; });
    check(0, 0.1, [c](const AugmentParams& p) { return p.channel[c].rician; });
    check(0, 0.2, [c](const AugmentParams& p) { return p.channel[c].gaussian; });
    check(0, 1.5, [c](const AugmentParams& p) { return p.channel[c].blur; });
    check(1, 3, [c](const AugmentParams& p) { return p.channel[c].low_resolution; });
  }
}

TEST_CASE("augment parameters: probabilities are met, and sequences are drawn apart") {
  const uint32_t seed = static_cast<uint32_t>(fresh_seed());
  INFO("seed ", seed);
  AugmentOptions o;
  o.flip_x_probability = 0.5f, o.flip_y_probability = 0.25f, o.quarter_turn_probability = 0.75f;
  o.drop_probability = 0.5f, o.blur_probability = 0.3f, o.blur_pixels = 1;
  const auto rate = [&](const std::function<double(const AugmentParams&)>& value) {
    return moments(seed, o, value).mean;
  };
  CHECK(std::abs(rate([](const AugmentParams& p) { return p.flip_x; }) - 0.5) < 0.04);
  CHECK(std::abs(rate([](const AugmentParams& p) { return p.flip_y; }) - 0.25) < 0.035);
  for (int turns = 0; turns < 4; ++turns) {
    CHECK(std::abs(rate([turns](const AugmentParams& p) { return p.quarter_turns == turns; }) -
                   0.25) < 0.035);
  }
  CHECK(std::abs(rate([](const AugmentParams& p) { return p.channel[0].blur > 0; }) - 0.3) < 0.037);
  CHECK(std::abs(rate([](const AugmentParams& p) {
                   return p.channel[0].blur > 0 && p.channel[1].blur > 0;
                 }) -
                 0.09) < 0.025);
  const auto kept = [](const AugmentParams& p) {
    return 3 - p.channel[0].dropped - p.channel[1].dropped - p.channel[2].dropped;
  };
  CHECK(moments(seed, o, kept).low == 1);  // never all three
  // Mean of those kept: 3/2, and one more in the eighth of draws that would drop all.
  CHECK(std::abs(moments(seed, o, kept).mean - 1.625) < 0.06);
}

TEST_CASE("augment parameters: cutout lies inside the window and reaches its borders") {
  AugmentOptions o;
  o.cutout_probability = 1;
  o.cutout_percent = 40;
  int least = 99, most = 0, top = 99, bottom = 0;
  for (uint32_t i = 0; i < 5000; ++i) {
    const AugmentParams p = draw_augment({{5, 6}}, 0, i, o, three_sequences());
    const int side = p.cutout[2] - p.cutout[0];
    CHECK(side == p.cutout[3] - p.cutout[1]);
    CHECK((p.cutout[0] >= 0 && p.cutout[1] >= 0 && p.cutout[2] <= 80 && p.cutout[3] <= 64));
    least = std::min(least, side), most = std::max(most, side);
    top = std::min(top, p.cutout[0]), bottom = std::max(bottom, p.cutout[2]);
  }
  CHECK(least == 1);
  CHECK(most == 26);  // 40 % of 64, begun pixels count
  CHECK(top == 0);
  CHECK(bottom == 80);
}

TEST_CASE("augment parameters: switching one transform on leaves the others as they were") {
  AugmentOptions few, more;
  few.rotation_probability = more.rotation_probability = 1;
  few.rotation_degrees = more.rotation_degrees = 90;
  more.flip_x_probability = more.elastic_probability = more.blur_probability = 1;
  more.elastic_pixels = more.blur_pixels = 2;
  for (uint32_t i = 0; i < 20; ++i) {
    CHECK(draw_augment({{1, 2}}, 0, i, few, three_sequences()).rotation ==
          draw_augment({{1, 2}}, 0, i, more, three_sequences()).rotation);
  }
}

TEST_CASE("augment parameters: a known answer, so that no later change draws otherwise unseen") {
  AugmentOptions o;
  o.rotation_probability = o.elastic_probability = o.gamma_probability = 1;
  o.rotation_degrees = 180, o.elastic_pixels = 6, o.gamma_percent = 30;
  const AugmentParams p = draw_augment({{2020, 7 << 3}}, 3, 41, o, three_sequences());
  CHECK(bits_of_float(p.rotation) == 1092581210u);
  CHECK(bits_of_float(p.channel[1].gamma) == 1065473424u);
  CHECK(bits_of_float(elastic_knot({{2020, 7 << 3}}, p, 10).y) == 3213342348u);
  const InverseMap m = inverse_map(p, 128, 128, 80, 64);
  CHECK(bits_of_float(source_y(m, 3, -7)) == 1115847813u);
}

TEST_CASE("augment map: spline weights sum to 1 and the field never exceeds its knots") {
  for (const float spacing : {4.0f, 9.3f, 24.0f}) {
    for (int x = 0; x < 100; ++x) {
      const SplineTaps s = spline_taps(x, spacing);
      float sum = 0;
      for (const float w : s.weight) {
        CHECK(w >= 0);
        sum += w;
      }
      CHECK(sum == doctest::Approx(1).epsilon(1e-6));
      CHECK(s.first + 3 < spline_knots(100, spacing));
    }
  }
}

TEST_CASE("augment map: taps weigh one inside, and fade to nothing over one pixel outside") {
  for (const float s : {0.0f, 0.25f, 3.5f, 4.0f}) {
    const AxisTaps t = axis_taps(s, 5, Fill::zero);
    CHECK(t.low_weight + t.high_weight == 1);
  }
  CHECK(axis_taps(-0.25f, 5, Fill::zero).low_weight == 0);
  CHECK(axis_taps(-0.25f, 5, Fill::zero).high_weight == 0.75f);
  CHECK(axis_taps(4.75f, 5, Fill::zero).low_weight == 0.25f);
  CHECK(axis_taps(4.75f, 5, Fill::zero).high_weight == 0);
  const AxisTaps far = axis_taps(1e30f, 5, Fill::edge);
  CHECK((far.low == 4 && far.high == 4 && far.low_weight + far.high_weight == 1));
  CHECK(nearest_pixel(-0.5f, 5, Fill::zero) == 0);
  CHECK(nearest_pixel(-0.51f, 5, Fill::zero) == -1);
  CHECK(nearest_pixel(4.5f, 5, Fill::zero) == -1);
  CHECK(nearest_pixel(4.5f, 5, Fill::edge) == 4);
}
