// The specification of augment() as naive f64 loops over one image, sharing no arithmetic with what
// it judges: only parameters, random words and the numbers of pixels a filter spans are common.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/ops/augment.hpp"

namespace gliograd::test {

/// A resident set with content of its own: smooth shapes, noise, an elliptic mask.
struct TestSet {
  std::vector<uint8_t> images, masks;
  std::vector<int32_t> patients;
  std::vector<ChannelScale> scales;
  ResidentSet set;

  TestSet(int64_t slices, int64_t height, int64_t width, int64_t channels, uint64_t seed) {
    std::srand(static_cast<unsigned>(seed));
    set = {nullptr, nullptr, nullptr, nullptr, slices, height, width, channels, slices};
    for (int64_t n = 0; n < slices; ++n) {
      patients.push_back(static_cast<int32_t>(n));
      for (int64_t c = 0; c < channels; ++c) {
        scales.push_back(
            {0.01f * static_cast<float>(1 + n + c), -1.0f - 0.1f * static_cast<float>(c)});
      }
      for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
          const double dy = (y - 0.45 * height) / (0.3 * height + n),
                       dx = (x - 0.5 * width) / (0.25 * width);
          masks.push_back(dy * dy + dx * dx < 1);
          for (int64_t c = 0; c < channels; ++c) {
            images.push_back(static_cast<uint8_t>(100 + 60 * std::sin(0.2 * (x + c * y)) +
                                                  30 * masks.back() + std::rand() % 40));
          }
        }
      }
    }
    set.images = images.data();
    set.masks = masks.data();
    set.patients = patients.data();
    set.scales = scales.data();
  }
  TestSet(const TestSet&) = delete;
};

class AugmentReference {
 public:
  AugmentReference(const ResidentSet& set, const InputSpec& input, const AugmentParams& p,
                   const RandomKey& key, int32_t slice)
      : set_(set), in_(input), p_(p), key_{{key.seed, key.low_word()}}, slice_(slice) {
    const int64_t pixels = int64_t{in_.height} * in_.width;
    std::vector<std::vector<double>> planes(in_.sequence_count, std::vector<double>(pixels));
    mask.resize(pixels);
    near_tie.resize(pixels);
    for (int y = 0; y < in_.height; ++y) {
      for (int x = 0; x < in_.width; ++x) warp(y, x, planes);
    }
    for (int c = 0; c < in_.sequence_count; ++c) {
      if (!p_.channel[c].dropped) intensities(c, planes[c]);
    }
    for (int64_t i = 0; i < pixels; ++i) finish(i, planes);
  }

  std::vector<double> image;   // [height, width, channels]
  std::vector<uint8_t> mask;   // [height, width]
  std::vector<bool> near_tie;  // where f32 may take the other neighbor of the mask

 private:
  // The uniform cubic B-spline's bump, by its definition (support -2 to 2).
  static double bump(double t) {
    const double a = std::abs(t);
    if (a >= 2) return 0;
    if (a >= 1) return (2 - a) * (2 - a) * (2 - a) / 6;
    return 2.0 / 3 - a * a + a * a * a / 2;
  }
  // Knot j stands at pixel (j - 1) * spacing.
  template <class Knot>
  double field(int y, int x, double spacing_y, double spacing_x, const Knot& knot) const {
    const int rows = static_cast<int>((in_.height - 1) / spacing_y) + 4;
    const int columns = static_cast<int>((in_.width - 1) / spacing_x) + 4;
    double sum = 0;
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) {
        sum +=
            bump(y / spacing_y - (i - 1)) * bump(x / spacing_x - (j - 1)) * knot(i * columns + j);
      }
    }
    return sum;
  }
  double stored(int64_t y, int64_t x, int sequence) const {
    const int64_t iy = std::clamp<int64_t>(y, 0, set_.height - 1);
    const int64_t ix = std::clamp<int64_t>(x, 0, set_.width - 1);
    if (p_.fill == Fill::zero && (iy != y || ix != x)) return 0;
    return set_.images[((slice_ * set_.height + iy) * set_.width + ix) * set_.channels + sequence];
  }

  void warp(int y, int x, std::vector<std::vector<double>>& planes) {
    const double pi = std::acos(-1.0);
    double dy = y - (in_.height - 1) / 2.0, dx = x - (in_.width - 1) / 2.0;
    if (p_.elastic > 0) {
      const auto knot = [&](int word) {
        return [this, word](int i) {
          const auto r = kernels::augment_block(key_, p_.epoch, p_.draw, kernels::kElasticLayer, i);
          return p_.elastic * (2.0 * kernels::uniform(r.word[word]) - 1);
        };
      };
      const double uy = field(y, x, p_.elastic_spacing, p_.elastic_spacing, knot(0));
      dx += field(y, x, p_.elastic_spacing, p_.elastic_spacing, knot(1));
      dy += uy;
    }
    dy -= p_.shift_y;
    dx -= p_.shift_x;
    const double r = p_.rotation * pi / 180;
    double ty = std::cos(r) * dy + std::sin(r) * dx, tx = std::cos(r) * dx - std::sin(r) * dy;
    tx -= std::tan(p_.shear * pi / 180) * ty;
    ty /= double{p_.scale} * p_.stretch;
    tx /= double{p_.scale} / p_.stretch;
    for (int i = 0; i < p_.quarter_turns; ++i) {
      const double before = ty;
      ty = tx;
      tx = -before;
    }
    if (p_.flip_y) ty = -ty;
    if (p_.flip_x) tx = -tx;
    const int64_t top = (set_.height - in_.height) / 2, left = (set_.width - in_.width) / 2;
    const double sy = ty + (in_.height - 1) / 2.0 + static_cast<double>(top);
    const double sx = tx + (in_.width - 1) / 2.0 + static_cast<double>(left);
    const int64_t iy = static_cast<int64_t>(std::floor(sy)),
                  ix = static_cast<int64_t>(std::floor(sx));
    const double fy = sy - iy, fx = sx - ix;
    const int64_t at = int64_t{y} * in_.width + x;
    for (int c = 0; c < in_.sequence_count; ++c) {
      const int s = in_.sequences[c];
      planes[c][at] = (1 - fy) * ((1 - fx) * stored(iy, ix, s) + fx * stored(iy, ix + 1, s)) +
                      fy * ((1 - fx) * stored(iy + 1, ix, s) + fx * stored(iy + 1, ix + 1, s));
    }
    const int64_t ny = static_cast<int64_t>(std::floor(sy + 0.5)),
                  nx = static_cast<int64_t>(std::floor(sx + 0.5));
    const bool out = ny < 0 || nx < 0 || ny >= set_.height || nx >= set_.width;
    const int64_t cy = std::clamp<int64_t>(ny, 0, set_.height - 1),
                  cx = std::clamp<int64_t>(nx, 0, set_.width - 1);
    if (set_.masks != nullptr && !(out && p_.fill == Fill::zero)) {
      mask[at] = set_.masks[(slice_ * set_.height + cy) * set_.width + cx] != 0;
    }
    near_tie[at] = std::abs(fy - 0.5) < 1e-3 || std::abs(fx - 0.5) < 1e-3;
  }

  static std::vector<double> along(const std::vector<double>& in, int count, int from, int to,
                                   int stride, int step,
                                   const std::vector<std::vector<double>>& w) {
    std::vector<double> out(static_cast<size_t>(count * to));
    for (int k = 0; k < count; ++k) {
      for (int i = 0; i < to; ++i) {
        for (int j = 0; j < from; ++j) {
          // Lines of `from` values become lines of `to`, at the same stride.
          const int64_t source = stride == 1 ? int64_t{k} * from + j : int64_t{j} * step + k;
          const int64_t target = stride == 1 ? int64_t{k} * to + i : int64_t{i} * step + k;
          out[target] += w[i][j] * in[source];
        }
      }
    }
    return out;
  }
  std::vector<double> both_axes(const std::vector<double>& in,
                                const std::vector<std::vector<double>>& wy,
                                const std::vector<std::vector<double>>& wx, int from_h,
                                int from_w) const {
    const int to_h = static_cast<int>(wy.size()), to_w = static_cast<int>(wx.size());
    const auto rows = along(in, from_w, from_h, to_h, 2, from_w, wy);
    return along(rows, to_h, from_w, to_w, 1, 0, wx);
  }
  using Matrix = std::vector<std::vector<double>>;
  static Matrix blur_matrix(double sigma, int size) {
    const int radius = std::min(static_cast<int>(3 * sigma) + 1, kernels::kBandRadius);
    double total = 0;
    for (int e = -radius; e <= radius; ++e) total += std::exp(-0.5 * e * e / (sigma * sigma));
    Matrix m(size, std::vector<double>(size));
    for (int i = 0; i < size; ++i) {
      for (int e = -radius; e <= radius; ++e) {
        m[i][std::clamp(i + e, 0, size - 1)] += std::exp(-0.5 * e * e / (sigma * sigma)) / total;
      }
    }
    return m;
  }
  static Matrix shrink_matrix(int count, int size) {  // means over equal parts of the axis
    const double width = double(size) / count;
    Matrix m(count, std::vector<double>(size));
    for (int i = 0; i < count; ++i) {
      for (int j = 0; j < size; ++j) {
        m[i][j] = std::max(0.0, std::min((i + 1) * width, j + 1.0) - std::max(i * width, 1.0 * j)) /
                  width;
      }
    }
    return m;
  }
  static Matrix grow_matrix(int count, int size) {  // linear between centers, ends repeated
    Matrix m(size, std::vector<double>(count));
    for (int i = 0; i < size; ++i) {
      const double at = (i + 0.5) * count / size - 0.5;
      const int low = static_cast<int>(std::floor(at));
      m[i][std::clamp(low, 0, count - 1)] += 1 - (at - low);
      m[i][std::clamp(low + 1, 0, count - 1)] += at - low;
    }
    return m;
  }

  double normal_number(uint32_t layer, uint32_t block, int word, bool sine) const {
    kernels::RandomPlace at{.position = block,
                            .layer = layer,
                            .draw = p_.draw,
                            .epoch = p_.epoch,
                            .purpose = kernels::Purpose::noise};
    const auto r = kernels::philox(key_, kernels::counter_of(at));
    const double radius = std::sqrt(-2 * std::log(double{kernels::uniform(r.word[word])}));
    const double angle = 2 * std::acos(-1.0) * kernels::uniform(r.word[word + 1]);
    return radius * (sine ? std::sin(angle) : std::cos(angle));
  }

  void intensities(int c, std::vector<double>& v) const {
    const ChannelParams& q = p_.channel[c];
    const ChannelScale scale =
        set_.scales[set_.patients[slice_] * set_.channels + in_.sequences[c]];
    const int h = in_.height, w = in_.width;
    if (q.bias > 0) {
      for (int y = 0; y < h; ++y) {
        for (int x = 0; x < w; ++x) {
          v[y * w + x] *= 1 + field(y, x, h / 2.0, w / 2.0, [&](int i) {
                            const auto r = kernels::augment_block(key_, p_.epoch, p_.draw,
                                                                  kernels::kBiasLayer + c, i);
                            return q.bias * (2.0 * kernels::uniform(r.word[0]) - 1);
                          });
        }
      }
    }
    if (q.blur > 0) v = both_axes(v, blur_matrix(q.blur, h), blur_matrix(q.blur, w), h, w);
    if (q.low_resolution > 1) {
      const int nh = std::max(1, static_cast<int>(std::nearbyint(h / q.low_resolution)));
      const int nw = std::max(1, static_cast<int>(std::nearbyint(w / q.low_resolution)));
      v = both_axes(v, shrink_matrix(nh, h), shrink_matrix(nw, w), h, w);
      v = both_axes(v, grow_matrix(nh, h), grow_matrix(nw, w), nh, nw);
    }
    const uint32_t half = (v.size() + 1) / 2, quarter = (v.size() + 3) / 4;
    const double sd = 1 / double{scale.a}, pivot = std::max(1.0, -double{scale.b} / scale.a);
    for (uint32_t i = 0; i < v.size(); ++i) {
      if (q.rician > 0) {
        const uint32_t layer = kernels::kRicianLayer + c, block = i % half;
        const int word = 2 * (i / half);
        const double real = v[i] + q.rician * sd * normal_number(layer, block, word, false);
        v[i] = std::hypot(real, q.rician * sd * normal_number(layer, block, word, true));
      }
      v[i] = pivot * std::pow(v[i] / pivot, q.gamma);
      v[i] = (v[i] - pivot) * q.contrast + pivot + q.brightness * sd;
      if (q.gaussian > 0) {
        const uint32_t which = i / quarter;
        v[i] += q.gaussian * sd *
                normal_number(kernels::kGaussianLayer + c, i % quarter, which < 2 ? 0 : 2,
                              which % 2 != 0);
      }
    }
  }

  void finish(int64_t i, const std::vector<std::vector<double>>& planes) {
    const int64_t y = i / in_.width, x = i % in_.width;
    const bool cut = y >= p_.cutout[0] && y < p_.cutout[2] && x >= p_.cutout[1] && x < p_.cutout[3];
    for (int c = 0; c < in_.sequence_count; ++c) {
      const ChannelScale scale =
          set_.scales[set_.patients[slice_] * set_.channels + in_.sequences[c]];
      double value = scale.a * planes[c][i] + double{scale.b};
      if (cut || p_.channel[c].dropped) value = 0;
      if (in_.mask == MaskUse::raw_zero && !mask[i]) value = scale.b;
      if (in_.mask == MaskUse::multiply && !mask[i]) value = 0;
      image.push_back(value);
    }
    if (in_.mask == MaskUse::channel) image.push_back(mask[i]);
  }

  const ResidentSet& set_;
  const InputSpec& in_;
  const AugmentParams& p_;
  kernels::PhiloxKey key_;
  int32_t slice_;
};

}  // namespace gliograd::test
