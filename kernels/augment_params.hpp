// Augmentation, part 1 of 3: what may be done to an image (options), what is done to one image
// (parameters), and how the second is drawn from the first. Reading order: augment_params,
// augment_map (where a pixel comes from), augment_pixel (what becomes of its value).
// A parameter is a pure function of (key, epoch, draw): each transform has its own Philox counter,
// so switching one on or off leaves all others as they were. Same bits on CPU and GPU.
#pragma once
#include <cstdint>

#include "kernels/sample.hpp"

namespace gliograd::kernels {

enum class Fill : int32_t {
  zero = 0,  // outside of the stored window: raw 0, as around a head
  edge = 1,  // the nearest stored pixel
};

/// Each transform has a probability and a greatest strength; all off by default. Where nothing else
/// is said, a strength is drawn uniformly up to its limit, for intensities apart for each sequence.
/// SD: the patient's robust standard deviation of that sequence.
struct AugmentOptions {
  // Geometry: one map for all sequences and the mask.
  float flip_y_probability = 0;                          // top and bottom change places
  float flip_x_probability = 0;                          // left and right change places
  float quarter_turn_probability = 0;                    // by 90, 180 or 270 degrees, exact
  float rotation_probability = 0, rotation_degrees = 0;  // -d to d
  float scale_probability = 0, scale_percent = 0;        // 1 / (1 + p) to 1 + p, uniform in the log
  float stretch_probability = 0, stretch_percent = 0;  // height by f, width by 1 / f; f as in scale
  float shear_probability = 0, shear_degrees = 0;      // -d to d
  float translation_probability = 0, translation_pixels = 0;  // -p to p on each axis
  float elastic_probability = 0, elastic_pixels = 0;  // no pixel is displaced farther, on each axis
  float elastic_spacing_pixels = 24;                  // between the knots of the displacement
  // Intensity.
  float brightness_probability = 0, brightness_percent = 0;  // -p to p, per cent of SD, added
  float contrast_probability = 0, contrast_percent = 0;      // about the median, factor as in scale
  float gamma_probability = 0, gamma_percent = 0;    // the median stays; exponent drawn as in scale
  float bias_probability = 0, bias_percent = 0;      // smooth factor between 1 - p and 1 + p
  float rician_probability = 0, rician_percent = 0;  // standard deviation, per cent of SD
  float noise_probability = 0, noise_percent = 0;    // Gaussian, the same unit
  float blur_probability = 0, blur_pixels = 0;       // standard deviation of the Gaussian
  float low_resolution_probability = 0, low_resolution_factor = 1;  // pixels that become one, >= 1
  float cutout_probability = 0, cutout_percent = 0;  // side of the square, per cent of the window
  float drop_probability = 0;                        // of each sequence; one always stays
  Fill fill = Fill::zero;
};

/// What is done to the intensities of one sequence; nothing by default.
struct ChannelParams {
  float brightness = 0;      // SDs added
  float contrast = 1;        // factor about the median
  float gamma = 1;           // exponent
  float bias = 0;            // greatest relative deviation of the bias field
  float rician = 0;          // standard deviation of the noise in SDs
  float gaussian = 0;        // the same
  float blur = 0;            // standard deviation in pixels
  float low_resolution = 1;  // pixels that become one
  int32_t dropped = 0;
};

/// What is done to one image; nothing by default. Angles in degrees, lengths in pixels.
struct AugmentParams {
  uint32_t epoch = 0, draw = 0;  // name the random fields (elastic, bias, noise)
  int32_t flip_y = 0, flip_x = 0, quarter_turns = 0;
  float rotation = 0, scale = 1, stretch = 1, shear = 0;
  float shift_y = 0, shift_x = 0;  // the content moves down and right
  float elastic = 0, elastic_spacing = 24;
  int32_t cutout[4] = {};  // y0, x0, y1, x1 in the output, end exclusive
  Fill fill = Fill::zero;
  ChannelParams channel[kMaxSequences];
};

/// Names of the Philox counters: `position` of a drawn parameter. Never reuse a number.
enum class Transform : uint32_t {
  flip_y = 1,
  flip_x = 2,
  quarter_turn = 3,
  rotation = 4,
  scale = 5,
  stretch = 6,
  shear = 7,
  translation = 8,
  elastic = 9,
  cutout = 10,
  drop_all = 11,
  brightness = 32,
  contrast = 33,
  gamma = 34,
  bias = 35,
  rician = 36,
  noise = 37,
  blur = 38,
  low_resolution = 39,
  drop = 40,
};

/// Philox layers below Purpose::augment: 0 is geometry, 1 + c sequence c; knots of the fields:
constexpr uint32_t kElasticLayer = 64;
constexpr uint32_t kBiasLayer = 65;  // + c

GG_HD inline PhiloxBlock augment_block(PhiloxKey key, uint32_t epoch, uint32_t draw, uint32_t layer,
                                       uint64_t position) {
  RandomPlace at;
  at.position = position;
  at.layer = layer;
  at.draw = draw;
  at.epoch = epoch;
  at.purpose = Purpose::augment;
  return philox(key, counter_of(at));
}

/// In (-1, 1).
GG_HD inline float signed_uniform(uint32_t word) { return 2.0f * uniform(word) - 1.0f; }

/// 1 / (1 + p) to 1 + p, uniform in the logarithm.
GG_HD inline float random_factor(uint32_t word, float percent) {
  return portable_exp(signed_uniform(word) * portable_log(1.0f + percent * 0.01f));
}

namespace augment_detail {

struct Draw {
  PhiloxKey key;
  uint32_t epoch, draw;

  // Words 1 to 3 of a transform, and by word 0 whether it takes place.
  GG_HD bool happens(Transform transform, uint32_t layer, float probability,
                     PhiloxBlock& words) const {
    words = augment_block(key, epoch, draw, layer, static_cast<uint32_t>(transform));
    return uniform(words.word[0]) < probability;
  }
};

GG_HD inline void draw_geometry(const Draw& d, const AugmentOptions& o, AugmentParams& p) {
  PhiloxBlock r;
  if (d.happens(Transform::flip_y, 0, o.flip_y_probability, r)) p.flip_y = 1;
  if (d.happens(Transform::flip_x, 0, o.flip_x_probability, r)) p.flip_x = 1;
  if (d.happens(Transform::quarter_turn, 0, o.quarter_turn_probability, r)) {
    p.quarter_turns = 1 + static_cast<int32_t>(below(r.word[1], 3));
  }
  if (d.happens(Transform::rotation, 0, o.rotation_probability, r)) {
    p.rotation = signed_uniform(r.word[1]) * o.rotation_degrees;
  }
  if (d.happens(Transform::scale, 0, o.scale_probability, r)) {
    p.scale = random_factor(r.word[1], o.scale_percent);
  }
  if (d.happens(Transform::stretch, 0, o.stretch_probability, r)) {
    p.stretch = random_factor(r.word[1], o.stretch_percent);
  }
  if (d.happens(Transform::shear, 0, o.shear_probability, r)) {
    p.shear = signed_uniform(r.word[1]) * o.shear_degrees;
  }
  if (d.happens(Transform::translation, 0, o.translation_probability, r)) {
    p.shift_y = signed_uniform(r.word[1]) * o.translation_pixels;
    p.shift_x = signed_uniform(r.word[2]) * o.translation_pixels;
  }
  if (d.happens(Transform::elastic, 0, o.elastic_probability, r)) {
    p.elastic = uniform(r.word[1]) * o.elastic_pixels;
  }
}

GG_HD inline void draw_channel(const Draw& d, const AugmentOptions& o, uint32_t layer,
                               ChannelParams& c) {
  PhiloxBlock r;
  if (d.happens(Transform::brightness, layer, o.brightness_probability, r)) {
    c.brightness = signed_uniform(r.word[1]) * (o.brightness_percent * 0.01f);
  }
  if (d.happens(Transform::contrast, layer, o.contrast_probability, r)) {
    c.contrast = random_factor(r.word[1], o.contrast_percent);
  }
  if (d.happens(Transform::gamma, layer, o.gamma_probability, r)) {
    c.gamma = random_factor(r.word[1], o.gamma_percent);
  }
  if (d.happens(Transform::bias, layer, o.bias_probability, r)) {
    c.bias = uniform(r.word[1]) * (o.bias_percent * 0.01f);
  }
  if (d.happens(Transform::rician, layer, o.rician_probability, r)) {
    c.rician = uniform(r.word[1]) * (o.rician_percent * 0.01f);
  }
  if (d.happens(Transform::noise, layer, o.noise_probability, r)) {
    c.gaussian = uniform(r.word[1]) * (o.noise_percent * 0.01f);
  }
  if (d.happens(Transform::blur, layer, o.blur_probability, r)) {
    c.blur = uniform(r.word[1]) * o.blur_pixels;
  }
  if (d.happens(Transform::low_resolution, layer, o.low_resolution_probability, r)) {
    c.low_resolution = 1.0f + uniform(r.word[1]) * (o.low_resolution_factor - 1.0f);
  }
  if (d.happens(Transform::drop, layer, o.drop_probability, r)) c.dropped = 1;
}

}  // namespace augment_detail

/// The parameters of one sample: `draw` is its slot in the epoch, so a slice drawn twice in an
/// epoch is changed in two ways.
GG_HD inline AugmentParams draw_augment(PhiloxKey key, uint32_t epoch, uint32_t draw,
                                        const AugmentOptions& o, const InputSpec& input) {
  const augment_detail::Draw d{key, epoch, draw};
  AugmentParams p;
  p.epoch = epoch;
  p.draw = draw;
  p.fill = o.fill;
  p.elastic_spacing = o.elastic_spacing_pixels;
  augment_detail::draw_geometry(d, o, p);
  PhiloxBlock r;
  if (d.happens(Transform::cutout, 0, o.cutout_probability, r)) {
    const int32_t least = input.height < input.width ? input.height : input.width;
    int32_t side = 1 + static_cast<int32_t>(uniform(r.word[1]) * (o.cutout_percent * 0.01f) *
                                            static_cast<float>(least));
    side = side < least ? side : least;
    p.cutout[0] =
        static_cast<int32_t>(below(r.word[2], static_cast<uint32_t>(input.height - side + 1)));
    p.cutout[1] =
        static_cast<int32_t>(below(r.word[3], static_cast<uint32_t>(input.width - side + 1)));
    p.cutout[2] = p.cutout[0] + side;
    p.cutout[3] = p.cutout[1] + side;
  }
  int dropped = 0;
  for (int c = 0; c < input.sequence_count; ++c) {
    augment_detail::draw_channel(d, o, static_cast<uint32_t>(1 + c), p.channel[c]);
    dropped += p.channel[c].dropped;
  }
  if (input.sequence_count > 0 && dropped == input.sequence_count) {
    d.happens(Transform::drop_all, 0, 1.0f, r);
    p.channel[below(r.word[1], static_cast<uint32_t>(input.sequence_count))].dropped = 0;
  }
  return p;
}

}  // namespace gliograd::kernels
