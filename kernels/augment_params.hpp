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

/// Names of the Philox counters: `position` of a drawn parameter. Never reuse a number; those of
/// the image, and those of a sequence, follow each other.
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

/// Draws of a sample that know nothing of each other: a thread each where they are many.
constexpr int kImageDraws = 10;   // flip_y to cutout
constexpr int kChannelDraws = 9;  // brightness to drop, for each sequence
static_assert(kImageDraws ==
              static_cast<int>(Transform::cutout) - static_cast<int>(Transform::flip_y) + 1);
static_assert(kChannelDraws ==
              static_cast<int>(Transform::drop) - static_cast<int>(Transform::brightness) + 1);
GG_HD constexpr int augment_draws(const InputSpec& input) {
  return kImageDraws + kChannelDraws * input.sequence_count;
}

/// The slot of an epoch whose parameters are drawn.
struct AugmentDraw {
  PhiloxKey key;
  uint32_t epoch, draw;
};

/// What a sample has before anything is drawn for it.
GG_HD inline AugmentParams undrawn(const AugmentDraw& d, const AugmentOptions& o) {
  AugmentParams p;
  p.epoch = d.epoch;
  p.draw = d.draw;
  p.fill = o.fill;
  p.elastic_spacing = o.elastic_spacing_pixels;
  return p;
}

/// The limit of a transform whose strength is a random_factor(); below 0: it is none.
GG_HD inline float factor_percent(Transform transform, const AugmentOptions& o) {
  switch (transform) {
    case Transform::scale: return o.scale_percent;
    case Transform::stretch: return o.stretch_percent;
    case Transform::contrast: return o.contrast_percent;
    case Transform::gamma: return o.gamma_percent;
    default: return -1;
  }
}

/// Draw `which` of augment_draws() into p, where no other one writes.
GG_HD inline void draw_transform(const AugmentDraw& d, int which, const AugmentOptions& o,
                                 const InputSpec& input, AugmentParams& p) {
  const int of_channel = which - kImageDraws;  // below 0: of the image
  const int sequence = of_channel < 0 ? 0 : of_channel / kChannelDraws;
  const auto transform = of_channel < 0
                             ? static_cast<Transform>(static_cast<int>(Transform::flip_y) + which)
                             : static_cast<Transform>(static_cast<int>(Transform::brightness) +
                                                      of_channel % kChannelDraws);
  const uint32_t layer = of_channel < 0 ? 0 : static_cast<uint32_t>(1 + sequence);
  // Word 0 says whether it takes place, words 1 to 3 how.
  const PhiloxBlock r =
      augment_block(d.key, d.epoch, d.draw, layer, static_cast<uint32_t>(transform));
  const float chance = uniform(r.word[0]);
  // In one place, to which the threads of a warp come together.
  const float percent = factor_percent(transform, o);
  const float factor = percent < 0 ? 1.0f : random_factor(r.word[1], percent);
  ChannelParams& c = p.channel[sequence];
  switch (transform) {
    case Transform::flip_y:
      if (chance < o.flip_y_probability) p.flip_y = 1;
      break;
    case Transform::flip_x:
      if (chance < o.flip_x_probability) p.flip_x = 1;
      break;
    case Transform::quarter_turn:
      if (chance < o.quarter_turn_probability) {
        p.quarter_turns = 1 + static_cast<int32_t>(below(r.word[1], 3));
      }
      break;
    case Transform::rotation:
      if (chance < o.rotation_probability) {
        p.rotation = signed_uniform(r.word[1]) * o.rotation_degrees;
      }
      break;
    case Transform::scale:
      if (chance < o.scale_probability) p.scale = factor;
      break;
    case Transform::stretch:
      if (chance < o.stretch_probability) p.stretch = factor;
      break;
    case Transform::shear:
      if (chance < o.shear_probability) p.shear = signed_uniform(r.word[1]) * o.shear_degrees;
      break;
    case Transform::translation:
      if (chance < o.translation_probability) {
        p.shift_y = signed_uniform(r.word[1]) * o.translation_pixels;
        p.shift_x = signed_uniform(r.word[2]) * o.translation_pixels;
      }
      break;
    case Transform::elastic:
      if (chance < o.elastic_probability) p.elastic = uniform(r.word[1]) * o.elastic_pixels;
      break;
    case Transform::cutout:
      if (chance < o.cutout_probability) {
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
      break;
    case Transform::brightness:
      if (chance < o.brightness_probability) {
        c.brightness = signed_uniform(r.word[1]) * (o.brightness_percent * 0.01f);
      }
      break;
    case Transform::contrast:
      if (chance < o.contrast_probability) c.contrast = factor;
      break;
    case Transform::gamma:
      if (chance < o.gamma_probability) c.gamma = factor;
      break;
    case Transform::bias:
      if (chance < o.bias_probability) c.bias = uniform(r.word[1]) * (o.bias_percent * 0.01f);
      break;
    case Transform::rician:
      if (chance < o.rician_probability) c.rician = uniform(r.word[1]) * (o.rician_percent * 0.01f);
      break;
    case Transform::noise:
      if (chance < o.noise_probability) c.gaussian = uniform(r.word[1]) * (o.noise_percent * 0.01f);
      break;
    case Transform::blur:
      if (chance < o.blur_probability) c.blur = uniform(r.word[1]) * o.blur_pixels;
      break;
    case Transform::low_resolution:
      if (chance < o.low_resolution_probability) {
        c.low_resolution = 1.0f + uniform(r.word[1]) * (o.low_resolution_factor - 1.0f);
      }
      break;
    case Transform::drop:
      if (chance < o.drop_probability) c.dropped = 1;
      break;
    case Transform::drop_all: break;  // keep_one_sequence()
  }
}

/// After all draws: where every sequence was dropped, one stays.
GG_HD inline void keep_one_sequence(const AugmentDraw& d, const InputSpec& input,
                                    AugmentParams& p) {
  int dropped = 0;
  for (int c = 0; c < input.sequence_count; ++c) dropped += p.channel[c].dropped;
  if (dropped == 0 || dropped < input.sequence_count) return;
  const PhiloxBlock r =
      augment_block(d.key, d.epoch, d.draw, 0, static_cast<uint32_t>(Transform::drop_all));
  p.channel[below(r.word[1], static_cast<uint32_t>(input.sequence_count))].dropped = 0;
}

/// The parameters of one sample: `draw` is its slot in the epoch, so a slice drawn twice in an
/// epoch is changed in two ways.
GG_HD inline AugmentParams draw_augment(PhiloxKey key, uint32_t epoch, uint32_t draw,
                                        const AugmentOptions& o, const InputSpec& input) {
  const AugmentDraw d{key, epoch, draw};
  AugmentParams p = undrawn(d, o);
  for (int i = 0; i < augment_draws(input); ++i) draw_transform(d, i, o, input, p);
  keep_one_sequence(d, input, p);
  return p;
}

}  // namespace gliograd::kernels
