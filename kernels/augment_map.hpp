// Augmentation, part 2 of 3: where an output pixel comes from. The map runs backwards, from output
// to stored pixel, so each output pixel is computed once, straight from the stored window, whose
// margin around the output window fills the corners of a rotation.
//   source = M * (d + u(pixel)) + center', d = pixel - center of the output
// M undoes rotation, shear, stretch, scale, flips and quarter turns (the image was flipped and
// turned first, rotated last, then moved); u is the elastic displacement.
#pragma once
#include "kernels/augment_params.hpp"

namespace gliograd::kernels {

struct InverseMap {
  float yy, yx, xy, xx;              // source y = yy * dy + yx * dx + y0, and so on
  float y0, x0;                      // source of the output's center
  float out_center_y, out_center_x;  // (height - 1) / 2
};

/// Exact (all products by 0 or +-1) for flips and quarter turns alone.
GG_HD inline InverseMap inverse_map(const AugmentParams& p, int64_t stored_height,
                                    int64_t stored_width, int32_t height, int32_t width) {
  const SineCosine turn = portable_sincos(p.rotation / 360.0f);
  const SineCosine slant = portable_sincos(p.shear / 360.0f);
  const float tangent = slant.sine / slant.cosine;
  const float scale_y = 1.0f / (p.scale * p.stretch);
  const float scale_x = 1.0f / (p.scale / p.stretch);
  // Turning content by +rotation (counterclockwise on the screen, y down) is undone by:
  //   y' = cos * y + sin * x,  x' = cos * x - sin * y
  // shear moved x by tangent * y; scaling follows.
  float yy = turn.cosine, yx = turn.sine;
  float xy = -turn.sine - tangent * yy, xx = turn.cosine - tangent * yx;
  yy = yy * scale_y;
  yx = yx * scale_y;
  xy = xy * scale_x;
  xx = xx * scale_x;
  // A quarter turn counterclockwise is undone by (y, x) <- (x, -y); a flip by a sign.
  for (int32_t i = 0; i < (p.quarter_turns & 3); ++i) {
    const float ty = yy, tx = yx;
    yy = xy;
    yx = xx;
    xy = -ty;
    xx = -tx;
  }
  if (p.flip_y) {
    yy = -yy;
    yx = -yx;
  }
  if (p.flip_x) {
    xy = -xy;
    xx = -xx;
  }
  InverseMap m;
  m.yy = yy;
  m.yx = yx;
  m.xy = xy;
  m.xx = xx;
  m.out_center_y = static_cast<float>(height - 1) * 0.5f;
  m.out_center_x = static_cast<float>(width - 1) * 0.5f;
  const float center_y = static_cast<float>(center_cut(stored_height, height)) + m.out_center_y;
  const float center_x = static_cast<float>(center_cut(stored_width, width)) + m.out_center_x;
  m.y0 = center_y - (yy * p.shift_y + yx * p.shift_x);
  m.x0 = center_x - (xy * p.shift_y + xx * p.shift_x);
  return m;
}

/// dy, dx: pixel minus center of the output, plus the displacement.
GG_HD_INLINE float source_y(const InverseMap& m, float dy, float dx) {
  return (m.yy * dy + m.yx * dx) + m.y0;
}
GG_HD_INLINE float source_x(const InverseMap& m, float dy, float dx) {
  return (m.xy * dy + m.xx * dx) + m.x0;
}

/// Two stored pixels on one axis and their weights.
struct AxisTaps {
  int32_t low, high;
  float low_weight, high_weight;
};

/// Limits that let no branch into a loop over them.
GG_HD_INLINE float between(float x, float low, float high) {
  const float above = x < low ? low : x;
  return above > high ? high : above;
}
GG_HD_INLINE int32_t between(int32_t x, int32_t low, int32_t high) {
  const int32_t above = x < low ? low : x;
  return above > high ? high : above;
}

/// Bilinear on one axis at source coordinate s. Beyond the stored pixels: weight 0, or the edge.
GG_HD_INLINE AxisTaps axis_taps(float s, int32_t size, Fill fill) {
  const float near = between(s, -2.0f, static_cast<float>(size + 1));
  const int32_t floor = floor_to_int(near);
  const float fraction = near - static_cast<float>(floor), rest = 1.0f - fraction;
  const bool zero = fill == Fill::zero;
  AxisTaps t;
  t.low = between(floor, 0, size - 1);
  t.high = between(floor + 1, 0, size - 1);
  t.low_weight = zero & (t.low != floor) ? 0.0f : rest;
  t.high_weight = zero & (t.high != floor + 1) ? 0.0f : fraction;
  return t;
}

/// Nearest stored pixel on one axis, halves upward; -1 where it is outside and the fill is zero.
GG_HD_INLINE int32_t nearest_pixel(float s, int32_t size, Fill fill) {
  const float near = between(s, -2.0f, static_cast<float>(size + 1));
  const int32_t pixel = floor_to_int(near + 0.5f), inside = between(pixel, 0, size - 1);
  return (fill == Fill::zero) & (inside != pixel) ? -1 : inside;
}

/// Smooth fields (elastic displacement, bias) are uniform cubic B-splines over a coarse grid of
/// knots: twice differentiable, and never beyond the values at the knots.
constexpr int kMaxKnots = 64;  // on an axis

/// Knots on an axis of `size` pixels, `spacing` apart.
GG_HD inline int spline_knots(int32_t size, float spacing) {
  return static_cast<int>(static_cast<float>(size - 1) / spacing) + 4;
}

struct SplineTaps {
  int32_t first;    // knots first to first + 3
  float weight[4];  // sum 1
};

GG_HD_INLINE SplineTaps spline_taps(int32_t pixel, float spacing) {
  const float at = static_cast<float>(pixel) / spacing;
  SplineTaps s;
  s.first = static_cast<int32_t>(at);
  const float t = at - static_cast<float>(s.first), u = 1.0f - t;
  const float t2 = t * t, t3 = t2 * t, sixth = 1.0f / 6.0f;
  s.weight[0] = u * u * u * sixth;
  s.weight[1] = ((3.0f * t3 - 6.0f * t2) + 4.0f) * sixth;
  s.weight[2] = (((-3.0f * t3 + 3.0f * t2) + 3.0f * t) + 1.0f) * sixth;
  s.weight[3] = t3 * sixth;
  return s;
}

struct Displacement {
  float y, x;
};

/// Knot `index` (row * columns + column) of the elastic displacement, in pixels.
GG_HD inline Displacement elastic_knot(PhiloxKey key, const AugmentParams& p, int index) {
  const PhiloxBlock r =
      augment_block(key, p.epoch, p.draw, kElasticLayer, static_cast<uint64_t>(index));
  return {p.elastic * signed_uniform(r.word[0]), p.elastic * signed_uniform(r.word[1])};
}

/// Knots of the bias field of sequence c lie half a window apart, 5 by 5 of them.
GG_HD inline float bias_spacing(int32_t size) { return static_cast<float>(size) * 0.5f; }
GG_HD inline float bias_knot(PhiloxKey key, const AugmentParams& p, int c, int index) {
  const PhiloxBlock r = augment_block(key, p.epoch, p.draw, kBiasLayer + static_cast<uint32_t>(c),
                                      static_cast<uint64_t>(index));
  return p.channel[c].bias * signed_uniform(r.word[0]);
}

}  // namespace gliograd::kernels
