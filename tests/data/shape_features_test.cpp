#include "data/shape_features.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <random>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

MaskStack stack(int64_t depth, int64_t height, int64_t width,
                const std::function<bool(int64_t, int64_t, int64_t)>& inside) {
  MaskStack masks{depth, height, width, {}, {}};
  for (int64_t z = 0; z < depth; ++z) {
    masks.numbers.push_back(static_cast<int32_t>(z + 5));
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) masks.voxels.push_back(inside(z, y, x) ? 255 : 0);
    }
  }
  return masks;
}

std::map<std::string, double> features(const MaskStack& masks) {
  const auto list = shape_features(masks);
  return {list.begin(), list.end()};
}

}  // namespace

TEST_CASE("shape: a box by hand") {
  // The smallest ellipsoid around a box a x b x c has half-axes sqrt(3)/2 of its sides, so the
  // ratio of volumes is 2 / (sqrt(3) pi), whatever the sides.
  auto f = features(stack(4, 20, 30, [](int64_t z, int64_t y, int64_t x) {
    return z >= 1 && y >= 2 && y < 9 && x >= 10 && x < 23;
  }));
  CHECK(f["bevr"] == doctest::Approx(2 / (std::sqrt(3.0) * M_PI)).epsilon(1e-6));
  CHECK(f["inverse_bevr"] == doctest::Approx(1 / f["bevr"]));
  CHECK(f["area"] == 7 * 13);
  CHECK(f["volume"] == 3 * 7 * 13);
  CHECK(f["slices"] == 3);
  CHECK(f["extent"] == 1);
}

TEST_CASE("shape: one voxel, and no voxel at all") {
  auto one =
      features(stack(1, 3, 3, [](int64_t, int64_t y, int64_t x) { return y == 1 && x == 2; }));
  CHECK(one["bevr"] == doctest::Approx(2 / (std::sqrt(3.0) * M_PI)).epsilon(1e-6));
  CHECK(one["angular_std"] == 0);
  CHECK(one["margin_fluctuation"] == 0);
  for (const MaskStack& empty :
       {stack(2, 3, 3, [](int64_t, int64_t, int64_t) { return false; }), MaskStack{}}) {
    auto none = features(empty);
    CHECK(none["volume"] == 0);
    CHECK(none["area"] == 0);
    CHECK(none["slices"] == 0);
    for (const char* name :
         {"bevr", "inverse_bevr", "angular_std", "margin_fluctuation", "extent"}) {
      CHECK(std::isnan(none[name]));
    }
  }
}

TEST_CASE("shape: a ball comes close to 1, and stretching does not change the ratio") {
  const auto ball = [](double ry, double rz) {
    return features(stack(41, 81, 81, [=](int64_t z, int64_t y, int64_t x) {
      const double a = (static_cast<double>(z) - 20) / rz, b = (static_cast<double>(y) - 40) / ry,
                   c = (static_cast<double>(x) - 40) / 20;
      return a * a + b * b + c * c <= 1;
    }));
  };
  auto round = ball(20, 20), flat = ball(38, 10);
  CHECK(round["bevr"] > 0.87);
  CHECK(round["bevr"] < 1);
  CHECK(flat["bevr"] > 0.80);  // steps are coarser, no more
  CHECK(round["angular_std"] < 0.03);
}

TEST_CASE("shape: only the largest component counts, and gaps between numbers cut") {
  const auto inside = [](int64_t z, int64_t y, int64_t x) {
    return (y < 4 && x < 4) || (z == 0 && y == 10 && x == 10);
  };
  MaskStack masks = stack(5, 12, 12, inside);
  const double box = 2 / (std::sqrt(3.0) * M_PI);
  CHECK(features(masks)["bevr"] == doctest::Approx(box).epsilon(1e-6));
  CHECK(features(masks)["volume"] == 5 * 16 + 1);
  // Tilted, so that a stack over the gap would be another shape.
  MaskStack tilted = stack(5, 12, 12, [](int64_t z, int64_t y, int64_t x) {
    const int64_t shift = z >= 3 ? 3 : 0;
    return y >= shift && y < shift + 4 && x < 10;
  });
  CHECK(features(tilted)["bevr"] < 0.9 * box);
  tilted.numbers = {1, 2, 3, 7, 8};  // 3 slices against 2: the box of 3 is left
  CHECK(features(tilted)["bevr"] == doctest::Approx(box).epsilon(1e-6));
}

TEST_CASE("shape: the corners that are kept give the ellipsoid of all corners") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  for (int trial = 0; trial < 5; ++trial) {
    std::vector<uint8_t> grid(4 * 9 * 11, 0);
    // A walk makes one connected, ragged component; every voxel counts.
    int64_t at[3] = {2, 4, 5};
    for (int step = 0; step < 120; ++step) {
      grid[(at[0] * 9 + at[1]) * 11 + at[2]] = 1;
      const int axis = static_cast<int>(random() % 3);
      const int64_t size[3] = {4, 9, 11};
      at[axis] = std::clamp<int64_t>(at[axis] + (random() % 2 == 0 ? 1 : -1), 0, size[axis] - 1);
    }
    const MaskStack masks = stack(
        4, 9, 11, [&](int64_t z, int64_t y, int64_t x) { return grid[(z * 9 + y) * 11 + x] != 0; });
    std::vector<std::array<double, 3>> corners;
    double voxels = 0;
    for (int64_t i = 0; i < 4 * 9 * 11; ++i) {
      if (grid[i] == 0) continue;
      voxels += 1;
      for (int c = 0; c < 8; ++c) {
        const int64_t z = i / 99 + (c & 1), y = i / 11 % 9 + (c >> 1 & 1), x = i % 11 + (c >> 2);
        corners.push_back({static_cast<double>(z), static_cast<double>(y), static_cast<double>(x)});
      }
    }
    const double expected = voxels / enclosing_ellipsoid_volume(corners);
    CHECK(features(masks)["bevr"] == doctest::Approx(expected).epsilon(2e-6));
  }
}

TEST_CASE("shape: the ellipsoid of points on a known one, under a shear") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<std::array<double, 3>> points;
  // A regular icosahedron's corners determine their sphere; points inside change nothing.
  const double golden = (1 + std::sqrt(5.0)) / 2, radius = std::sqrt(1 + golden * golden);
  std::vector<std::array<double, 3>> unit;
  for (const double a : {-1.0, 1.0}) {
    for (const double b : {-golden, golden}) {
      unit.insert(unit.end(), {{0, a, b}, {a, b, 0}, {b, 0, a}});
    }
  }
  for (int i = 0; i < 50; ++i) {
    const double n[3] = {normal(random), normal(random), normal(random)};
    const double length = std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    const double r = radius * (static_cast<double>(i) / 50) / length;
    unit.push_back({n[0] * r, n[1] * r, n[2] * r});
  }
  for (const auto& p : unit) {
    points.push_back({3 * p[0] + p[1] + 100, 0.5 * p[1] - 7, 2 * p[2] - 0.3 * p[0] + p[1]});
  }
  const double expected = 4.0 / 3.0 * M_PI * std::pow(radius, 3) * 3 * 0.5 * 2;
  CHECK(enclosing_ellipsoid_volume(points) == doctest::Approx(expected).epsilon(1e-6));
  for (auto& p : points) p[2] = 4;
  CHECK(contains(error_of([&] { enclosing_ellipsoid_volume(points); }), "in one plane"));
}

TEST_CASE("shape: a ragged margin has more angular deviation and more fluctuation") {
  const auto blob = [](double waves, double height) {
    return features(stack(1, 101, 101, [=](int64_t, int64_t y, int64_t x) {
      const double dy = static_cast<double>(y) - 50, dx = static_cast<double>(x) - 50;
      return std::hypot(dy, dx) <= 30 * (1 + height * std::cos(waves * std::atan2(dy, dx)));
    }));
  };
  auto disk = blob(0, 0), wavy = blob(10, 0.2), wide = blob(2, 0.2);
  CHECK(disk["angular_std"] < 0.02);
  CHECK(disk["margin_fluctuation"] < 0.02);
  // r = 1 + 0.2 cos(10 a) in the mean over angles has a deviation of 0.2 / sqrt(2) = 0.14.
  CHECK(wavy["angular_std"] == doctest::Approx(0.14).epsilon(0.15));
  CHECK(wavy["margin_fluctuation"] > 0.1);
  CHECK(wide["margin_fluctuation"] < 0.5 * wavy["margin_fluctuation"]);  // slow waves average out
}

TEST_CASE("shape: sizes that do not fit are refused") {
  MaskStack masks = stack(2, 3, 3, [](int64_t, int64_t, int64_t) { return true; });
  masks.numbers = {4, 4};
  CHECK(contains(error_of([&] { shape_features(masks); }), "slice numbers must rise"));
  masks.voxels.pop_back();
  CHECK(contains(error_of([&] { shape_features(masks); }), "17 voxels"));
}
