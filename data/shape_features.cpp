#include "data/shape_features.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/error.hpp"

namespace gliograd::data {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int kAngles = 10;

/// One 2-D mask, [height, width].
struct Plane {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> pixels;

  bool at(int64_t y, int64_t x) const {
    return y >= 0 && x >= 0 && y < height && x < width && pixels[y * width + x] != 0;
  }
};

/// The part of the stack that holds the mask, so that floods and scans stay small.
struct Volume {
  int64_t depth = 0, height = 0, width = 0;
  std::vector<int32_t> numbers;
  std::vector<uint8_t> voxels;

  int64_t count() const { return depth * height * width; }
};

Volume cut_to_mask(const MaskStack& masks) {
  int64_t y0 = masks.height, y1 = 0, x0 = masks.width, x1 = 0;
  for (int64_t row = 0; row < masks.depth * masks.height; ++row) {
    const uint8_t* line = masks.voxels.data() + row * masks.width;
    for (int64_t x = 0; x < masks.width; ++x) {
      if (line[x] == 0) continue;
      const int64_t y = row % masks.height;
      y0 = std::min(y0, y), y1 = std::max(y1, y + 1);
      x0 = std::min(x0, x), x1 = std::max(x1, x + 1);
    }
  }
  Volume v;
  if (y1 == 0) return v;
  v.depth = masks.depth, v.height = y1 - y0, v.width = x1 - x0, v.numbers = masks.numbers;
  v.voxels.reserve(v.count());
  for (int64_t z = 0; z < v.depth; ++z) {
    for (int64_t y = y0; y < y1; ++y) {
      const uint8_t* line = masks.voxels.data() + (z * masks.height + y) * masks.width;
      for (int64_t x = x0; x < x1; ++x) v.voxels.push_back(line[x] != 0);
    }
  }
  return v;
}

/// Marks the largest component with 2 and returns its size. Neighbors: 6 in 3-D; slices touch where
/// their numbers follow each other.
int64_t mark_largest_component(Volume& v) {
  const int64_t plane = v.height * v.width;
  std::vector<int64_t> flood, largest;
  std::vector<uint8_t> seen(v.voxels.size(), 0);
  for (int64_t start = 0; start < v.count(); ++start) {
    if (v.voxels[start] == 0 || seen[start]) continue;
    flood.assign(1, start);
    seen[start] = 1;
    for (size_t next = 0; next < flood.size(); ++next) {
      const int64_t i = flood[next], z = i / plane, y = i % plane / v.width, x = i % v.width;
      const auto visit = [&](bool inside, int64_t j) {
        if (!inside || v.voxels[j] == 0 || seen[j]) return;
        seen[j] = 1;
        flood.push_back(j);
      };
      visit(x > 0, i - 1);
      visit(x + 1 < v.width, i + 1);
      visit(y > 0, i - v.width);
      visit(y + 1 < v.height, i + v.width);
      visit(z > 0 && v.numbers[z - 1] + 1 == v.numbers[z], i - plane);
      visit(z + 1 < v.depth && v.numbers[z] + 1 == v.numbers[z + 1], i + plane);
    }
    if (flood.size() > largest.size()) largest.swap(flood);
  }
  for (const int64_t i : largest) v.voxels[i] = 2;
  return static_cast<int64_t>(largest.size());
}

double cross(const std::array<double, 2>& o, const std::array<double, 2>& a,
             const std::array<double, 2>& b) {
  return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
}

/// Corners of the convex hull of points sorted by (first, second) coordinate (Andrew 1979).
std::vector<std::array<double, 2>> convex_hull(const std::vector<std::array<double, 2>>& points) {
  std::vector<std::array<double, 2>> hull;
  for (int side = 0; side < 2; ++side) {
    const size_t base = hull.size();
    for (size_t k = 0; k < points.size(); ++k) {
      const auto& p = points[side == 0 ? k : points.size() - 1 - k];
      while (hull.size() >= base + 2 && cross(hull[hull.size() - 2], hull.back(), p) <= 0) {
        hull.pop_back();
      }
      hull.push_back(p);
    }
    hull.pop_back();  // the other side starts with it
  }
  return hull;
}

/// Corners of the marked voxels that can lie on their convex hull: on each plane between slices the
/// corners of the planar hull. All others are inside, so the enclosing ellipsoid is the same.
std::vector<std::array<double, 3>> hull_corners(const Volume& v) {
  std::vector<std::array<double, 3>> corners;
  const auto row_ends = [&](int64_t z, int64_t y, int64_t& low, int64_t& high) {
    if (z < 0 || z >= v.depth || y < 0 || y >= v.height) return;
    const uint8_t* line = v.voxels.data() + (z * v.height + y) * v.width;
    for (int64_t x = 0; x < v.width; ++x) {
      if (line[x] == 2) low = std::min(low, x), high = std::max(high, x + 1);
    }
  };
  // Slices z - 1 and z meet on plane z where their numbers follow each other; else each has two.
  const auto add_plane = [&](int64_t below, int64_t above, double height) {
    std::vector<std::array<double, 2>> points;
    for (int64_t y = 0; y <= v.height; ++y) {
      int64_t low = v.width + 1, high = -1;
      for (const int64_t z : {below, above}) {
        row_ends(z, y - 1, low, high);
        row_ends(z, y, low, high);
      }
      if (high < 0) continue;
      points.push_back({static_cast<double>(y), static_cast<double>(low)});
      points.push_back({static_cast<double>(y), static_cast<double>(high)});
    }
    if (points.empty()) return;
    for (const auto& p : convex_hull(points)) corners.push_back({height, p[0], p[1]});
  };
  for (int64_t z = 0; z < v.depth; ++z) {
    const bool joined = z > 0 && v.numbers[z - 1] + 1 == v.numbers[z];
    add_plane(joined ? z - 1 : -1, z, v.numbers[z]);
    if (z + 1 == v.depth || v.numbers[z] + 1 != v.numbers[z + 1]) {
      add_plane(z, -1, v.numbers[z] + 1.0);
    }
  }
  return corners;
}

/// The largest component (8 neighbors) alone, the first where several are equal.
Plane largest_part(const Plane& mask) {
  std::vector<int64_t> flood, largest;
  std::vector<uint8_t> seen(mask.pixels.size(), 0);
  for (int64_t start = 0; start < mask.height * mask.width; ++start) {
    if (mask.pixels[start] == 0 || seen[start]) continue;
    flood.assign(1, start);
    seen[start] = 1;
    for (size_t next = 0; next < flood.size(); ++next) {
      const int64_t y = flood[next] / mask.width, x = flood[next] % mask.width;
      for (int64_t ny = y - 1; ny <= y + 1; ++ny) {
        for (int64_t nx = x - 1; nx <= x + 1; ++nx) {
          if (!mask.at(ny, nx) || seen[ny * mask.width + nx]) continue;
          seen[ny * mask.width + nx] = 1;
          flood.push_back(ny * mask.width + nx);
        }
      }
    }
    if (flood.size() > largest.size()) largest.swap(flood);
  }
  Plane part{mask.height, mask.width, std::vector<uint8_t>(mask.pixels.size(), 0)};
  for (const int64_t i : largest) part.pixels[i] = 1;
  return part;
}

/// Pixels of the outer margin in order, clockwise from the topmost, leftmost (Moore's tracing: from
/// each pixel look around, starting where the last step came from).
std::vector<std::array<int64_t, 2>> trace_margin(const Plane& part) {
  constexpr int kDy[8] = {-1, -1, 0, 1, 1, 1, 0, -1}, kDx[8] = {0, 1, 1, 1, 0, -1, -1, -1};
  const auto first = std::find(part.pixels.begin(), part.pixels.end(), 1) - part.pixels.begin();
  const std::array<int64_t, 2> start = {first / part.width, first % part.width};
  std::vector<std::array<int64_t, 2>> margin;
  std::array<int64_t, 2> at = start;
  int direction = 2;  // as if it had been reached by a step to the right
  int first_direction = -1;
  do {
    int step = -1;
    for (int turn = 0; turn < 8 && step < 0; ++turn) {
      const int d = (direction + 6 + turn) % 8;
      if (part.at(at[0] + kDy[d], at[1] + kDx[d])) step = d;
    }
    if (step < 0) return {start};  // a single pixel
    if (at == start) {
      if (first_direction < 0) {
        first_direction = step;
      } else if (step == first_direction) {
        break;  // once around, and about to leave the same way
      }
    }
    margin.push_back(at);
    at = {at[0] + kDy[step], at[1] + kDx[step]};
    direction = step;
  } while (true);
  return margin;
}

double deviation(const std::vector<double>& values) {
  if (values.empty()) return 0;
  double mean = 0, square = 0;
  for (const double v : values) mean += v;
  mean /= static_cast<double>(values.size());
  for (const double v : values) square += (v - mean) * (v - mean);
  return std::sqrt(square / static_cast<double>(values.size()));
}

struct MarginShape {
  double angular_std = 0, fluctuation = 0;
};

MarginShape margin_shape(const Plane& mask) {
  const Plane part = largest_part(mask);
  double cy = 0, cx = 0, n = 0;
  for (int64_t i = 0; i < part.height * part.width; ++i) {
    if (part.pixels[i] == 0) continue;
    const int64_t y = i / part.width, x = i % part.width;
    cy += static_cast<double>(y);
    cx += static_cast<double>(x);
    n += 1;
  }
  cy /= n, cx /= n;
  std::vector<double> distance, angle;
  double mean = 0;
  for (const auto& [y, x] : trace_margin(part)) {
    const double dy = static_cast<double>(y) - cy, dx = static_cast<double>(x) - cx;
    distance.push_back(std::hypot(dy, dx));
    angle.push_back(std::atan2(dy, dx));
    mean += distance.back();
  }
  const auto length = static_cast<int64_t>(distance.size());
  mean /= static_cast<double>(length);
  if (mean == 0) return {};  // one pixel: nothing fluctuates
  std::vector<std::vector<double>> bins(kAngles);
  for (int64_t i = 0; i < length; ++i) {
    distance[i] /= mean;
    const int bin = static_cast<int>(std::floor((angle[i] + M_PI) / (2 * M_PI) * kAngles));
    bins[std::clamp(bin, 0, kAngles - 1)].push_back(distance[i]);
  }
  MarginShape shape;
  int used = 0;
  for (const std::vector<double>& bin : bins) {
    if (bin.empty()) continue;
    shape.angular_std += deviation(bin);
    ++used;
  }
  shape.angular_std /= used;
  const auto window = std::max<int64_t>(1, std::llround(static_cast<double>(length) / 10));
  std::vector<double> rest(length);
  for (int64_t i = 0; i < length; ++i) {
    double sum = 0;
    for (int64_t k = 0; k < window; ++k) sum += distance[(i + k - window / 2 + length) % length];
    rest[i] = distance[i] - sum / static_cast<double>(window);
  }
  shape.fluctuation = deviation(rest);
  return shape;
}

}  // namespace

std::vector<std::string> shape_feature_names() {
  return {"bevr", "inverse_bevr", "angular_std", "margin_fluctuation",
          "area", "volume",       "extent",      "slices"};
}

std::vector<std::pair<std::string, double>> shape_features(const MaskStack& masks) {
  GG_CHECK(
      masks.depth >= 0 && masks.height >= 0 && masks.width >= 0 &&
          static_cast<int64_t>(masks.voxels.size()) == masks.depth * masks.height * masks.width &&
          static_cast<int64_t>(masks.numbers.size()) == masks.depth,
      "shape_features: ", masks.voxels.size(), " voxels and ", masks.numbers.size(),
      " slice numbers for ", masks.depth, " x ", masks.height, " x ", masks.width);
  for (int64_t z = 1; z < masks.depth; ++z) {
    GG_CHECK(masks.numbers[z - 1] < masks.numbers[z], "shape_features: slice numbers must rise; ",
             masks.numbers[z], " follows ", masks.numbers[z - 1]);
  }
  Volume v = cut_to_mask(masks);
  double bevr = kNaN, area = 0, volume = 0, extent = kNaN, slices = 0;
  MarginShape margin{kNaN, kNaN};
  if (v.depth > 0) {
    const int64_t plane = v.height * v.width;
    int64_t largest = 0;
    for (int64_t z = 0; z < v.depth; ++z) {
      const auto begin = v.voxels.begin() + z * plane;
      const auto pixels = static_cast<double>(plane - std::count(begin, begin + plane, 0));
      volume += pixels;
      slices += pixels > 0;
      if (pixels > area) area = pixels, largest = z;
    }
    const auto begin = v.voxels.begin() + largest * plane;
    const Plane mask{v.height, v.width, std::vector<uint8_t>(begin, begin + plane)};
    margin = margin_shape(mask);
    int64_t y0 = v.height, y1 = 0, x0 = v.width, x1 = 0;
    for (int64_t i = 0; i < plane; ++i) {
      if (mask.pixels[i] == 0) continue;
      y0 = std::min(y0, i / v.width), y1 = std::max(y1, i / v.width + 1);
      x0 = std::min(x0, i % v.width), x1 = std::max(x1, i % v.width + 1);
    }
    extent = area / static_cast<double>((y1 - y0) * (x1 - x0));
    const auto component = static_cast<double>(mark_largest_component(v));
    bevr = component / enclosing_ellipsoid_volume(hull_corners(v));
  }
  const std::vector<double> values = {
      bevr, 1 / bevr, margin.angular_std, margin.fluctuation, area, volume, extent, slices};
  std::vector<std::pair<std::string, double>> named;
  const std::vector<std::string> names = shape_feature_names();
  for (size_t i = 0; i < names.size(); ++i) named.emplace_back(names[i], values[i]);
  return named;
}

}  // namespace gliograd::data
