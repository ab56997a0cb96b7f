// Augmentation, part 3 of 3: what becomes of a value. First what a scanner does: bilinear sampling
// of the stored bytes, bias field, blur, low resolution, Rician noise; then what display and
// storage do: gamma, contrast with brightness, Gaussian noise; last cutout, dropped sequences, mask
// and normalization (network_value in sample.hpp). Values are in the stored unit (0 to 255), not
// clipped, and not negative before contrast. Each step is skipped where its parameter says so, so
// that unchanged values stay as they are to the bit.
#pragma once
#include "kernels/augment_map.hpp"

namespace gliograd::kernels {

GG_HD_INLINE float bilinear(float top_left, float top_right, float bottom_left, float bottom_right,
                            float top, float bottom, float left, float right) {
  return top * (left * top_left + right * top_right) +
         bottom * (left * bottom_left + right * bottom_right);
}

/// Gamma, contrast and brightness of one sequence of one patient, in the stored unit.
struct Tone {
  float pivot;  // the patient's median: gamma and contrast leave it where it is
  float inverse_pivot;
  float gamma;
  float slope, offset;
};

GG_HD inline Tone tone_of(const ChannelParams& c, ChannelScale scale) {
  Tone t;
  const float median = -scale.b / scale.a;
  t.pivot = median < 1.0f ? 1.0f : median;
  t.inverse_pivot = 1.0f / t.pivot;
  t.gamma = c.gamma;
  t.slope = c.contrast;
  t.offset = t.pivot * (1.0f - c.contrast) + c.brightness / scale.a;
  return t;
}

/// v >= 0.
GG_HD_INLINE float gamma_tone(float v, const Tone& t) {
  return t.pivot * portable_pow(v * t.inverse_pivot, t.gamma);
}
GG_HD_INLINE float linear_tone(float v, const Tone& t) { return v * t.slope + t.offset; }

/// Blur and low resolution are banded matrices on each axis: out[i] = sum over d of w(i, d) *
/// in[i + d], d from -kBandRadius to kBandRadius, edges folded in (a weight beyond the image goes
/// to the edge pixel).
constexpr int kBandRadius = 12;
constexpr float kMaxBlurPixels = 4;           // radius 3 standard deviations
constexpr float kMaxLowResolutionFactor = 6;  // radius 1.5 factors and a pixel

GG_HD inline int blur_radius(float sigma) {
  const int radius = static_cast<int>(3.0f * sigma) + 1;
  return radius < kBandRadius ? radius : kBandRadius;
}

/// Normalized Gaussian weights for d = 0 to radius; the kernel is symmetric.
GG_HD inline void gaussian_weights(float sigma, int radius, float* weights) {
  // A very narrow Gaussian is a single weight; the bound keeps 1 / sigma^2 finite.
  const float bounded = sigma < 0.05f ? 0.05f : sigma;
  const float scale = -0.5f / (bounded * bounded);
  float sum = 0;
  for (int d = 0; d <= radius; ++d) {
    weights[d] = portable_exp(scale * static_cast<float>(d * d));
    sum += d == 0 ? weights[d] : 2.0f * weights[d];
  }
  for (int d = 0; d <= radius; ++d) weights[d] = weights[d] / sum;
}

/// w(i, d) of the blur for an axis of `size`; half: gaussian_weights.
GG_HD inline float blur_weight(const float* half, int radius, int size, int i, int d) {
  const int at = i + d;
  if (at < 0 || at >= size) return 0;
  if (i >= radius && i + radius < size) return half[d < 0 ? -d : d];
  float w = 0;
  // Pixels beyond an edge repeat it.
  for (int e = -radius; e <= radius; ++e) {
    const int source = i + e < 0 ? 0 : (i + e >= size ? size - 1 : i + e);
    if (source == at) w += half[e < 0 ? -e : e];
  }
  return w;
}

/// Low resolution: n = size / factor large pixels cover the axis from end to end, each the mean of
/// what it covers (parts of pixels too), then linear interpolation between their centers. Both
/// steps measure from pixel edges, so nothing moves by half a pixel.
struct LowResolution {
  int32_t count;  // large pixels
  float width;    // of one, in pixels
};

GG_HD inline LowResolution low_resolution_of(float factor, int32_t size) {
  const int32_t n = static_cast<int32_t>(round_to_even(static_cast<float>(size) / factor));
  const int32_t count = n < 1 ? 1 : n;
  return {count, static_cast<float>(size) / static_cast<float>(count)};
}

GG_HD inline int low_resolution_radius(LowResolution r) {
  const int radius = static_cast<int>(1.5f * r.width) + 1;
  return radius < kBandRadius ? radius : kBandRadius;
}

/// Share of large pixel `cell` that pixel `at` gives.
GG_HD inline float coverage(LowResolution r, int cell, int at) {
  const float cell_begin = static_cast<float>(cell) * r.width, begin = static_cast<float>(at);
  const float low = cell_begin > begin ? cell_begin : begin;
  const float cell_end = cell_begin + r.width, end = begin + 1.0f;
  const float high = cell_end < end ? cell_end : end;
  return high > low ? (high - low) / r.width : 0.0f;
}

/// w(i, d) of the low resolution.
GG_HD inline float low_resolution_weight(LowResolution r, int size, int i, int d) {
  const int at = i + d;
  if (at < 0 || at >= size) return 0;
  const float place = (static_cast<float>(i) + 0.5f) / r.width - 0.5f;
  const int low = floor_to_int(place);
  const float fraction = place - static_cast<float>(low);
  const int first = low < 0 ? 0 : low, last = low + 1 < r.count ? low + 1 : r.count - 1;
  return (1.0f - fraction) * coverage(r, first, at) + fraction * coverage(r, last, at);
}

/// Noise. One block serves four pixels of Gaussian noise (or two of Rician), that lie `stride`
/// apart: pixel p takes number p / stride of block p % stride, so a row of blocks fills rows of
/// pixels.
constexpr uint32_t kRicianLayer = 0, kGaussianLayer = 8;  // + sequence, below Purpose::noise

GG_HD inline uint32_t gaussian_stride(uint32_t pixels) { return (pixels + 3) / 4; }
GG_HD inline uint32_t rician_stride(uint32_t pixels) { return (pixels + 1) / 2; }

GG_HD_INLINE PhiloxBlock noise_block(PhiloxKey key, uint32_t epoch, uint32_t draw, uint32_t layer,
                                     uint32_t block) {
  RandomPlace at;
  at.position = block;
  at.layer = layer;
  at.draw = draw;
  at.epoch = epoch;
  at.purpose = Purpose::noise;
  return philox(key, counter_of(at));
}

/// The magnitude of a complex signal v with noise in both parts (Gudbjartsson & Patz 1995).
GG_HD_INLINE float rician(float v, float sigma, NormalPair noise) {
  const float real = v + sigma * noise.first, imaginary = sigma * noise.second;
  return square_root(real * real + imaginary * imaginary);
}

}  // namespace gliograd::kernels
