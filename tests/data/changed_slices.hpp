// One patient's slices, and what a second release of the same pictures does to them: another pixel
// size, cut margins, new windows, another gamma, fewer gray levels.
#pragma once
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "data/fingerprint.hpp"

namespace gliograd::test {

struct PatientSlices {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<std::vector<uint8_t>> images;  // each [height, width, channels]
  std::vector<std::vector<uint8_t>> masks;   // each [height, width]; or none at all

  data::Fingerprint fingerprint() const {
    std::vector<data::FingerprintSlice> list;
    for (size_t i = 0; i < images.size(); ++i) {
      const uint8_t* mask = masks.empty() ? nullptr : masks[i].data();
      list.push_back({images[i].data(), height, width, channels, mask});
    }
    return data::fingerprint(list);
  }
};

/// Bilinear, centers of pixels on centers.
inline std::vector<uint8_t> resampled(const std::vector<uint8_t>& image, int64_t h, int64_t w,
                                      int64_t c, int64_t new_h, int64_t new_w) {
  std::vector<uint8_t> out;
  for (int64_t y = 0; y < new_h; ++y) {
    for (int64_t x = 0; x < new_w; ++x) {
      const auto place = [](int64_t i, int64_t from, int64_t to) {
        const double at =
            (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to) -
            0.5;
        return std::clamp(at, 0.0, static_cast<double>(from - 1));
      };
      const double sy = place(y, h, new_h), sx = place(x, w, new_w);
      const auto y0 = static_cast<int64_t>(sy), x0 = static_cast<int64_t>(sx);
      const int64_t y1 = std::min(y0 + 1, h - 1), x1 = std::min(x0 + 1, w - 1);
      const double fy = sy - static_cast<double>(y0), fx = sx - static_cast<double>(x0);
      for (int64_t k = 0; k < c; ++k) {
        const auto at = [&](int64_t i, int64_t j) {
          return static_cast<double>(image[(i * w + j) * c + k]);
        };
        const double v = (at(y0, x0) * (1 - fx) + at(y0, x1) * fx) * (1 - fy) +
                         (at(y1, x0) * (1 - fx) + at(y1, x1) * fx) * fy;
        out.push_back(static_cast<uint8_t>(std::lround(v)));
      }
    }
  }
  return out;
}

/// Scale 0.8 to 1.2; up to 90 % of the empty margin (nothing above `background` in any slice) cut
/// off; then for each image and channel a window, gamma 0.55 to 1.8, 64 to 256 gray levels.
inline PatientSlices changed(const PatientSlices& patient, int background,
                             std::mt19937_64& random) {
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  int64_t y0 = patient.height, y1 = 0, x0 = patient.width, x1 = 0;
  for (const auto& image : patient.images) {
    for (int64_t i = 0; i < static_cast<int64_t>(image.size()); ++i) {
      if (image[i] <= background) continue;
      const int64_t y = i / patient.channels / patient.width,
                    x = i / patient.channels % patient.width;
      y0 = std::min(y0, y), y1 = std::max(y1, y + 1), x0 = std::min(x0, x),
      x1 = std::max(x1, x + 1);
    }
  }
  if (y1 == 0) y0 = x0 = 0, y1 = patient.height, x1 = patient.width;
  const auto part = [&](int64_t margin) {
    return static_cast<int64_t>(static_cast<double>(margin) * uniform(0, 0.9));
  };
  y0 = part(y0), x0 = part(x0);
  y1 = patient.height - part(patient.height - y1), x1 = patient.width - part(patient.width - x1);
  const double scale = uniform(0.8, 1.2);
  PatientSlices out{std::lround(static_cast<double>(y1 - y0) * scale),
                    std::lround(static_cast<double>(x1 - x0) * scale),
                    patient.channels,
                    {},
                    {}};
  const auto cut = [&](const std::vector<uint8_t>& image, int64_t c) {
    std::vector<uint8_t> kept;
    for (int64_t y = y0; y < y1; ++y) {
      const auto row = image.begin() + (y * patient.width + x0) * c;
      kept.insert(kept.end(), row, row + (x1 - x0) * c);
    }
    return resampled(kept, y1 - y0, x1 - x0, c, out.height, out.width);
  };
  for (const auto& image : patient.images) {
    std::vector<uint8_t> pixels = cut(image, patient.channels);
    for (int64_t k = 0; k < patient.channels; ++k) {
      std::vector<uint8_t> sorted;
      for (size_t i = k; i < pixels.size(); i += patient.channels) sorted.push_back(pixels[i]);
      std::sort(sorted.begin(), sorted.end());
      const auto quantile = [&](double q) {
        return static_cast<double>(
            sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))]);
      };
      const double low = quantile(uniform(0, 0.05));
      const double high = std::max(low + 1, quantile(uniform(0.97, 1)));
      const double gamma = std::exp(uniform(-0.6, 0.6)), top = uniform(150, 255);
      const double levels = std::vector{63.0, 127.0, 255.0}[random() % 3];
      for (size_t i = k; i < pixels.size(); i += patient.channels) {
        const double v = std::clamp((pixels[i] - low) / (high - low), 0.0, 1.0);
        pixels[i] = static_cast<uint8_t>(
            std::lround(std::lround(std::pow(v, gamma) * levels) * top / levels));
      }
    }
    out.images.push_back(pixels);
  }
  for (const auto& mask : patient.masks) {
    std::vector<uint8_t> wide = mask;
    for (uint8_t& v : wide) v = v != 0 ? 255 : 0;
    wide = cut(wide, 1);
    for (uint8_t& v : wide) v = v > 127;
    out.masks.push_back(wide);
  }
  return out;
}

}  // namespace gliograd::test
