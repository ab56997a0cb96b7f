// What is done to one value of the augmentation, in all rungs of the ladder: where it comes from,
// and each transform of it.
#pragma once
#include "kernels/augment.hpp"

namespace gliograd::ladder {

using namespace kernels;

// Value i of [images, sequences, height, width].
struct Place {
  int image, c, y, x;
  __device__ Place(const AugmentBatch& b, uint32_t i) {
    const auto width = static_cast<uint32_t>(b.input.width);
    const auto height = static_cast<uint32_t>(b.input.height);
    const auto sequences = static_cast<uint32_t>(b.input.sequence_count);
    x = static_cast<int>(i % width);
    y = static_cast<int>(i / width % height);
    c = static_cast<int>(i / (width * height) % sequences);
    image = static_cast<int>(i / (width * height * sequences));
  }
};

// Value i of the output, [images, height, width, channels]. Pixels are counted over all images.
struct OutputPlace {
  int image, y, x, c;
  uint32_t pixel;
  __device__ OutputPlace(const AugmentBatch& b, uint32_t i) {
    const auto width = static_cast<uint32_t>(b.input.width);
    const uint32_t pixels = width * static_cast<uint32_t>(b.input.height);
    const auto channels = static_cast<uint32_t>(b.channels);
    pixel = i / channels;
    c = static_cast<int>(i % channels);
    image = static_cast<int>(pixel / pixels);
    y = static_cast<int>(pixel % pixels / width);
    x = static_cast<int>(pixel % width);
  }
};

__device__ inline uint32_t value_index(const AugmentBatch& b, int image, int c, int y, int x) {
  return static_cast<uint32_t>(
      ((image * b.input.sequence_count + c) * b.input.height + y) * b.input.width + x);
}

__device__ inline const ChannelScale& scale_of(const AugmentBatch& b, int image, int c) {
  return b.set.scales[b.set.patients[b.order[image]] * b.set.channels + b.input.sequences[c]];
}

// A smooth field at a pixel; knot(i) is its knot i. Rows first: the order of the sum on the CPU.
template <class Knot>
__device__ inline float field_at(const InputSpec& input, int y, int x, float spacing_y,
                                 float spacing_x, const Knot& knot) {
  const SplineTaps row = spline_taps(y, spacing_y), column = spline_taps(x, spacing_x);
  const int columns = spline_knots(input.width, spacing_x);
  float sum = 0;
  for (int j = 0; j < 4; ++j) {
    const int at = row.first * columns + column.first + j;
    const float value = ((row.weight[0] * knot(at) + row.weight[1] * knot(at + columns)) +
                         row.weight[2] * knot(at + 2 * columns)) +
                        row.weight[3] * knot(at + 3 * columns);
    sum += column.weight[j] * value;
  }
  return sum;
}

// The knots of an image, each made from its random number where it is wanted.
struct FreshKnots {
  PhiloxKey key;
  const AugmentParams& p;
  __device__ float elastic_y(int i) const { return elastic_knot(key, p, i).y; }
  __device__ float elastic_x(int i) const { return elastic_knot(key, p, i).x; }
  __device__ float bias(int c, int i) const { return bias_knot(key, p, c, i); }
};

// Where an output pixel comes from.
struct Source {
  AxisTaps y, x;
  float at_y, at_x;
};

template <class Knots>
__device__ inline Source source_of(const AugmentBatch& b, const AugmentParams& p,
                                   const Knots& knots, int y, int x) {
  const InverseMap map = inverse_map(p, b.set.height, b.set.width, b.input.height, b.input.width);
  float dy = 0, dx = 0;
  if (p.elastic > 0) {
    const float spacing = p.elastic_spacing;
    dy = field_at(b.input, y, x, spacing, spacing, [&](int i) { return knots.elastic_y(i); });
    dx = field_at(b.input, y, x, spacing, spacing, [&](int i) { return knots.elastic_x(i); });
  }
  dy = (static_cast<float>(y) - map.out_center_y) + dy;
  dx = (static_cast<float>(x) - map.out_center_x) + dx;
  Source s;
  s.at_y = source_y(map, dy, dx);
  s.at_x = source_x(map, dy, dx);
  s.y = axis_taps(s.at_y, static_cast<int32_t>(b.set.height), p.fill);
  s.x = axis_taps(s.at_x, static_cast<int32_t>(b.set.width), p.fill);
  return s;
}

__device__ inline float sampled(const AugmentBatch& b, int image, int c, const Source& s) {
  const ResidentSet& set = b.set;
  const uint8_t* bytes =
      set.images + b.order[image] * set.height * set.width * set.channels + b.input.sequences[c];
  const auto at = [&](int32_t row, int32_t column) {
    return static_cast<float>(bytes[(row * set.width + column) * set.channels]);
  };
  return bilinear(at(s.y.low, s.x.low), at(s.y.low, s.x.high), at(s.y.high, s.x.low),
                  at(s.y.high, s.x.high), s.y.low_weight, s.y.high_weight, s.x.low_weight,
                  s.x.high_weight);
}

__device__ inline bool is_inside(const AugmentBatch& b, const AugmentParams& p, int image,
                                 const Source& s) {
  const ResidentSet& set = b.set;
  if (set.masks == nullptr) return false;
  const int32_t row = nearest_pixel(s.at_y, static_cast<int32_t>(set.height), p.fill);
  const int32_t column = nearest_pixel(s.at_x, static_cast<int32_t>(set.width), p.fill);
  return row >= 0 && column >= 0 &&
         set.masks[(b.order[image] * set.height + row) * set.width + column] != 0;
}

template <class Knots>
__device__ inline float biased(const AugmentBatch& b, const AugmentParams& p, const Knots& knots,
                               int c, int y, int x, float v) {
  if (p.channel[c].bias == 0) return v;
  const float field =
      field_at(b.input, y, x, bias_spacing(b.input.height), bias_spacing(b.input.width),
               [&](int i) { return knots.bias(c, i); });
  return v * (1.0f + field);
}

struct Noise {
  const AugmentBatch& b;
  const AugmentParams& p;
  uint32_t pixels, pixel;
  __device__ Noise(const AugmentBatch& batch, const AugmentParams& params, int y, int x)
      : b(batch),
        p(params),
        pixels(static_cast<uint32_t>(b.input.height * b.input.width)),
        pixel(static_cast<uint32_t>(y * b.input.width + x)) {}
  __device__ PhiloxBlock block(uint32_t layer, int c, uint32_t at) const {
    return noise_block(b.key, p.epoch, p.draw, layer + static_cast<uint32_t>(c), at);
  }
  __device__ float with_rician(int c, float a, float v) const {
    const uint32_t stride = rician_stride(pixels);
    const PhiloxBlock r = block(kRicianLayer, c, pixel % stride);
    const NormalPair pair =
        pixel < stride ? normal_pair(r.word[0], r.word[1]) : normal_pair(r.word[2], r.word[3]);
    return rician(v, p.channel[c].rician / a, pair);
  }
  __device__ float with_gaussian(int c, float a, float v) const {
    const uint32_t stride = gaussian_stride(pixels), which = pixel / stride;
    const PhiloxBlock r = block(kGaussianLayer, c, pixel % stride);
    const NormalPair pair =
        which < 2 ? normal_pair(r.word[0], r.word[1]) : normal_pair(r.word[2], r.word[3]);
    return v + p.channel[c].gaussian / a * (which % 2 == 0 ? pair.first : pair.second);
  }
};

__device__ inline bool is_toned(const ChannelParams& c) {
  return c.contrast != 1 || c.brightness != 0;
}
__device__ inline bool is_filtered(const ChannelParams& c) {
  return c.dropped == 0 && (c.blur > 0 || c.low_resolution > 1);
}
__device__ inline bool is_cut(const AugmentParams& p, int y, int x) {
  return y >= p.cutout[0] && y < p.cutout[2] && x >= p.cutout[1] && x < p.cutout[3];
}

// All that the filters leave to do, before the mask.
__device__ inline float toned(const AugmentBatch& b, const AugmentParams& p, int image, int c,
                              int y, int x, float v) {
  const ChannelParams& q = p.channel[c];
  const ChannelScale scale = scale_of(b, image, c);
  const Noise noise(b, p, y, x);
  if (q.rician > 0) v = noise.with_rician(c, scale.a, v);
  if (q.gamma != 1 || is_toned(q)) {
    const Tone tone = tone_of(q, scale);
    if (q.gamma != 1) v = gamma_tone(v, tone);
    if (is_toned(q)) v = linear_tone(v, tone);
  }
  if (q.gaussian > 0) v = noise.with_gaussian(c, scale.a, v);
  return v;
}

}  // namespace gliograd::ladder
