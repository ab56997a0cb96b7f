// From a slice to its grid: find where the head is, in a way that no monotone change of intensities
// can move; put an ellipse of that place and size on it; average intensity ranks inside over a
// 16 x 16 grid. From the grids to the fingerprint: average over slices, low frequencies, length 1.
#include "data/fingerprint.hpp"

#include <algorithm>
#include <cmath>

#include "engine/core/error.hpp"

namespace gliograd::data {
namespace {

constexpr int kGrid = 16;
constexpr int kOrders = 6;           // frequencies k + l < 6: 21 a channel
constexpr int kUsedChannels = 3;     // 63 numbers; the last of the 64 is 0
constexpr int64_t kCoarse = 128;     // the head is looked for on about so many rows
constexpr double kDarkShare = 0.25;  // of the head that is darker than the threshold that finds it
constexpr int kRounds = 8;           // three or four settle it
constexpr double kReach = 2.0;       // a filled ellipse ends two deviations from its center

using Histogram = std::array<int64_t, 256>;

/// One channel of a slice, thinned to about kCoarse rows. No averaging: that would not commute with
/// a monotone change.
struct Thinned {
  int64_t height = 0, width = 0, step = 1;
  std::vector<uint8_t> pixels;
};

Thinned thin(const FingerprintSlice& slice, int64_t channel) {
  Thinned t;
  t.step = std::max<int64_t>(1, std::min(slice.height, slice.width) / kCoarse);
  t.height = (slice.height + t.step - 1) / t.step;
  t.width = (slice.width + t.step - 1) / t.step;
  t.pixels.reserve(t.height * t.width);
  for (int64_t y = 0; y < slice.height; y += t.step) {
    for (int64_t x = 0; x < slice.width; x += t.step) {
      t.pixels.push_back(slice.pixels[(y * slice.width + x) * slice.channels + channel]);
    }
  }
  return t;
}

/// The threshold that parts a histogram best into two classes (Otsu 1979): the class above it is
/// v > threshold.
int otsu(const Histogram& counts) {
  double total = 0, mass = 0;
  for (int v = 0; v < 256; ++v) {
    total += static_cast<double>(counts[v]);
    mass += static_cast<double>(counts[v]) * v;
  }
  double below = 0, below_mass = 0, best = -1;
  int threshold = 0;
  for (int v = 0; v < 256; ++v) {
    below += static_cast<double>(counts[v]);
    below_mass += static_cast<double>(counts[v]) * v;
    if (below == 0 || below == total) continue;
    const double gap = below_mass / below - (mass - below_mass) / (total - below);
    const double between = below * (total - below) * gap * gap;
    if (between > best) best = between, threshold = v;
  }
  return threshold;
}

/// The least v such that at least `share` of the counted pixels are v or less.
int quantile_of(const Histogram& counts, double share) {
  double total = 0;
  for (const int64_t n : counts) total += static_cast<double>(n);
  int v = 0;
  for (auto sum = static_cast<double>(counts[0]); v < 255 && sum < share * total;) {
    sum += static_cast<double>(counts[++v]);
  }
  return v;
}

/// The pixels between the first and the last bright one of their row, and of their column: the
/// head with its dark inside.
struct Filled {
  std::vector<int64_t> row_first, row_last, column_first, column_last;

  Filled(const Thinned& t, int threshold)
      : row_first(t.height, t.width),
        row_last(t.height, -1),
        column_first(t.width, t.height),
        column_last(t.width, -1) {
    for (int64_t y = 0; y < t.height; ++y) {
      for (int64_t x = 0; x < t.width; ++x) {
        if (t.pixels[y * t.width + x] <= threshold) continue;
        row_first[y] = std::min(row_first[y], x), row_last[y] = x;
        column_first[x] = std::min(column_first[x], y), column_last[x] = y;
      }
    }
  }

  template <class Visit>
  void each(const Visit& visit) const {
    for (int64_t y = 0; y < static_cast<int64_t>(row_first.size()); ++y) {
      for (int64_t x = row_first[y]; x <= row_last[y]; ++x) {
        if (column_first[x] <= y && y <= column_last[x]) visit(y, x);
      }
    }
  }
};

/// Center and deviation of the head's pixels, in pixels of the slice.
struct Frame {
  double center_y = 0, center_x = 0, spread_y = 0, spread_x = 0;
};

/// The head in one channel: from Otsu's threshold on, until a quarter of the filled region is
/// darker than the threshold. Where that settles a monotone change of intensities moves the
/// threshold and not the region. False where nothing stands out.
bool find_head(const FingerprintSlice& slice, int64_t channel, Frame& frame) {
  const Thinned t = thin(slice, channel);
  Histogram counts{};
  for (const uint8_t v : t.pixels) ++counts[v];
  int threshold = otsu(counts);
  for (int round = 0; round < kRounds; ++round) {
    counts.fill(0);
    int64_t n = 0;
    Filled(t, threshold).each([&](int64_t y, int64_t x) {
      ++counts[t.pixels[y * t.width + x]];
      ++n;
    });
    if (n < 16) return false;
    const int quantile = quantile_of(counts, kDarkShare);
    if (quantile == threshold) break;
    threshold = quantile;
  }
  double n = 0, sum_y = 0, sum_x = 0, square_y = 0, square_x = 0;
  Filled(t, threshold).each([&](int64_t y, int64_t x) {
    const auto dy = static_cast<double>(y), dx = static_cast<double>(x);
    n += 1, sum_y += dy, sum_x += dx, square_y += dy * dy, square_x += dx * dx;
  });
  if (n < 16) return false;
  const double my = sum_y / n, mx = sum_x / n;
  const auto step = static_cast<double>(t.step);
  const double vy = square_y / n - my * my, vx = square_x / n - mx * mx;
  if (!(vy > 0) || !(vx > 0)) return false;
  frame = {my * step, mx * step, std::sqrt(vy) * step, std::sqrt(vx) * step};
  return true;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

/// One frame for all channels, so that what lies on what stays: the median of theirs.
bool common_frame(const FingerprintSlice& slice, Frame& frame) {
  std::vector<double> part[4];
  for (int64_t c = 0; c < std::min<int64_t>(slice.channels, kUsedChannels); ++c) {
    Frame own;
    if (!find_head(slice, c, own)) continue;
    part[0].push_back(own.center_y), part[1].push_back(own.center_x);
    part[2].push_back(own.spread_y), part[3].push_back(own.spread_x);
  }
  if (part[0].empty()) return false;
  frame = {median(part[0]), median(part[1]), median(part[2]), median(part[3])};
  return true;
}

using Grid = std::array<double, kGrid * kGrid>;

/// Of a place in (-1, 1); rounding may reach the end.
int cell_of(double place) { return std::min(kGrid - 1, static_cast<int>((place + 1) / 2 * kGrid)); }

/// Adds weight * (mean rank less 1/2) of each cell, for each channel.
void add_ranks(const FingerprintSlice& slice, const Frame& frame, double weight,
               std::array<Grid, kUsedChannels>& grids) {
  std::vector<int64_t> pixel;
  std::vector<int> cell;
  Grid filled{};
  for (int64_t y = 0; y < slice.height; ++y) {
    const double v = (static_cast<double>(y) - frame.center_y) / (kReach * frame.spread_y);
    for (int64_t x = 0; x < slice.width; ++x) {
      const double u = (static_cast<double>(x) - frame.center_x) / (kReach * frame.spread_x);
      if (u * u + v * v >= 1) continue;
      pixel.push_back(y * slice.width + x);
      cell.push_back(cell_of(v) * kGrid + cell_of(u));
      filled[cell.back()] += 1;
    }
  }
  for (int k = 0; k < kUsedChannels; ++k) {
    const int64_t channel = std::min<int64_t>(k, slice.channels - 1);
    Histogram counts{};
    for (const int64_t p : pixel) ++counts[slice.pixels[p * slice.channels + channel]];
    std::array<double, 256> rank{};  // equal values share their middle rank
    double below = 0;
    for (int v = 0; v < 256; ++v) {
      const auto here = static_cast<double>(counts[v]);
      rank[v] = (below + here / 2) / static_cast<double>(pixel.size()) - 0.5;
      below += here;
    }
    Grid sum{};
    for (size_t i = 0; i < pixel.size(); ++i) {
      sum[cell[i]] += rank[slice.pixels[pixel[i] * slice.channels + channel]];
    }
    for (int i = 0; i < kGrid * kGrid; ++i) {
      if (filled[i] > 0) grids[k][i] += weight * sum[i] / filled[i];
    }
  }
}

double basis(int frequency, int at) {
  return std::cos(M_PI * frequency * (2 * at + 1) / (2 * kGrid));
}

/// The cosine coefficient, orthonormal, times 1 + k + l: the fine ones tell patients apart, the
/// coarse ones are much alike in all heads.
double coefficient(const Grid& grid, int k, int l) {
  double sum = 0;
  for (int y = 0; y < kGrid; ++y) {
    for (int x = 0; x < kGrid; ++x) sum += basis(k, y) * basis(l, x) * grid[y * kGrid + x];
  }
  const double norm = (k == 0 ? std::sqrt(0.5) : 1.0) * (l == 0 ? std::sqrt(0.5) : 1.0);
  return sum * norm * 2 / kGrid * (1 + k + l);
}

double mask_area(const FingerprintSlice& slice) {
  if (slice.mask == nullptr) return 0;
  const uint8_t* end = slice.mask + slice.height * slice.width;
  return static_cast<double>(end - slice.mask - std::count(slice.mask, end, 0));
}

}  // namespace

Fingerprint fingerprint(const std::vector<FingerprintSlice>& slices) {
  std::vector<double> weights;
  double total = 0;
  for (const FingerprintSlice& slice : slices) {
    GG_CHECK(slice.pixels != nullptr && slice.height > 0 && slice.width > 0 &&
                 slice.channels == slices[0].channels && slice.channels > 0,
             "fingerprint: a slice of ", slice.height, " x ", slice.width, " x ", slice.channels,
             " among slices of ", slices[0].channels, " channels");
    weights.push_back(mask_area(slice));
    total += weights.back();
  }
  if (total == 0) weights.assign(slices.size(), 1.0);
  std::array<Grid, kUsedChannels> grids{};
  for (size_t i = 0; i < slices.size(); ++i) {
    Frame frame;
    if (weights[i] > 0 && common_frame(slices[i], frame)) {
      add_ranks(slices[i], frame, weights[i], grids);
    }
  }
  std::array<double, kFingerprintSize> values{};
  double square = 0;
  int at = 0;
  for (const Grid& grid : grids) {
    for (int k = 0; k < kOrders; ++k) {
      for (int l = 0; k + l < kOrders; ++l, ++at) {
        values[at] = coefficient(grid, k, l);
        square += values[at] * values[at];
      }
    }
  }
  Fingerprint result{};
  if (!(square > 0)) return result;
  for (int i = 0; i < kFingerprintSize; ++i) {
    result[i] = static_cast<float>(values[i] / std::sqrt(square));
  }
  return result;
}

float fingerprint_similarity(const Fingerprint& a, const Fingerprint& b) {
  double ab = 0, aa = 0, bb = 0;
  for (int i = 0; i < kFingerprintSize; ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return aa > 0 && bb > 0 ? static_cast<float>(ab / std::sqrt(aa * bb)) : 0.0F;
}

}  // namespace gliograd::data
