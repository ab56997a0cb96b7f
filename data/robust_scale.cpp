#include "data/robust_scale.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "engine/core/error.hpp"

namespace gliograd::data {
namespace {

using Histogram = std::array<int64_t, 256>;

/// Twice the median, so that the mean of two middle values stays an integer.
int64_t twice_median(const Histogram& counts, int64_t total) {
  const auto value_at = [&](int64_t rank) {
    int64_t seen = 0;
    for (int64_t v = 0; v < 256; ++v) {
      seen += counts[v];
      if (rank < seen) return v;
    }
    return int64_t{255};
  };
  return value_at((total - 1) / 2) + value_at(total / 2);
}

/// Otsu 1979: the threshold t on d that parts {d <= t} from the rest with the largest variance
/// between the classes, here of sqrt(d); 255 when all values are equal.
int64_t otsu(const Histogram& counts) {
  double total = 0, sum = 0;
  for (int64_t d = 0; d < 256; ++d) {
    total += static_cast<double>(counts[d]);
    sum += static_cast<double>(counts[d]) * std::sqrt(static_cast<double>(d));
  }
  double below = 0, below_sum = 0, best = 0;
  int64_t threshold = 255;
  for (int64_t d = 0; d < 255; ++d) {
    below += static_cast<double>(counts[d]);
    below_sum += static_cast<double>(counts[d]) * std::sqrt(static_cast<double>(d));
    if (below == 0 || below == total) continue;
    const double gap = below_sum * total - sum * below;
    const double between = gap / (below * (total - below)) * gap;
    if (between > best) {
      best = between;
      threshold = d;
    }
  }
  return threshold;
}

Affine affine_of(const Histogram& counts) {
  int64_t total = 0;
  for (const int64_t count : counts) total += count;
  const int64_t median2 = twice_median(counts, total);
  // |2v - 2 median| lies in 0..510; its own median by the same counting, over twice the range.
  std::array<int64_t, 511> away{};
  for (int64_t v = 0; v < 256; ++v) away[std::abs(2 * v - median2)] += counts[v];
  int64_t seen = 0, low = -1, high = -1;
  for (int64_t d = 0; d < 511; ++d) {
    seen += away[d];
    if (low < 0 && (total - 1) / 2 < seen) low = d;
    if (high < 0 && total / 2 < seen) high = d;
  }
  const double mad = static_cast<double>(low + high) / 4;
  const double scale = std::max(1.0, 1.4826 * mad);
  return {static_cast<float>(1 / scale),
          static_cast<float>(-0.5 * static_cast<double>(median2) / scale)};
}

std::vector<Affine> scale_of(const std::vector<ScaleSlice>& slices, int64_t channels,
                             bool leave_background) {
  GG_CHECK(channels > 0, "robust_scale: needs at least one channel");
  std::vector<Histogram> all(channels, Histogram{}), tissue = all;
  int64_t pixels = 0;
  for (const ScaleSlice& slice : slices) {
    pixels += slice.pixels;
    for (int64_t i = 0; i < slice.pixels; ++i) {
      for (int64_t c = 0; c < channels; ++c) ++all[c][slice.values[i * channels + c]];
    }
  }
  GG_CHECK(pixels > 0, "robust_scale: needs at least one pixel");
  // stands_out[c][v]: gray level v of channel c is not background.
  std::vector<std::array<bool, 256>> stands_out(channels);
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t level = std::max_element(all[c].begin(), all[c].end()) - all[c].begin();
    Histogram away{};
    for (int64_t v = 0; v < 256; ++v) away[std::abs(v - level)] += all[c][v];
    const int64_t threshold = otsu(away);
    for (int64_t v = 0; v < 256; ++v) stands_out[c][v] = std::abs(v - level) > threshold;
  }
  int64_t counted = 0;
  for (const ScaleSlice& slice : slices) {
    if (!leave_background) break;
    for (int64_t i = 0; i < slice.pixels; ++i) {
      const uint8_t* pixel = slice.values + i * channels;
      bool is_tissue = false;
      for (int64_t c = 0; c < channels; ++c) is_tissue = is_tissue || stands_out[c][pixel[c]];
      if (!is_tissue) continue;
      ++counted;
      for (int64_t c = 0; c < channels; ++c) ++tissue[c][pixel[c]];
    }
  }
  std::vector<Affine> scales;
  for (int64_t c = 0; c < channels; ++c)
    scales.push_back(affine_of((counted > 0 ? tissue : all)[c]));
  return scales;
}

}  // namespace

std::vector<Affine> robust_scale(const std::vector<ScaleSlice>& slices, int64_t channels) {
  return scale_of(slices, channels, true);
}

std::vector<Affine> robust_scale_of_all(const std::vector<ScaleSlice>& slices, int64_t channels) {
  return scale_of(slices, channels, false);
}

}  // namespace gliograd::data
