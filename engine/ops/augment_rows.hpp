// The row loops of augment() on the CPU, over raw pointers, compiled for several instruction sets
// (see engine/core/simd.hpp). Every loop is elementwise: the bits do not depend on vector width.
// A plane is one sequence, [height * width] values and room up to plane_size().
#pragma once
#include "kernels/augment_pixel.hpp"

namespace gliograd::augment_rows {

/// Values that a plane of `pixels` needs: loops over noise blocks write a little beyond.
constexpr int64_t plane_size(int64_t pixels) { return (pixels + 79) / 16 * 16; }

/// A field over the image: knots [rows, columns], and the weight of each knot column at each pixel,
/// zero but for four of them. Adding zeros changes no bit, so this is the four-tap sum.
struct Spline {
  const float* knots = nullptr;    // null: no field
  const float* weights = nullptr;  // [columns, width]
  int32_t rows = 0, columns = 0;
  float spacing = 1;
};

struct Warp {
  kernels::InverseMap map;
  kernels::Fill fill;
  int32_t stored_height, stored_width, width;
  Spline elastic_y, elastic_x;
};

/// Where the pixels of one output row come from; arrays of `width`.
struct WarpRow {
  float* dy;  // displacement, then source coordinate
  float* dx;
  int32_t* offset[4];  // into a stored plane: of the rows above and below, the columns left, right
  float* weight[4];    // of the same
  int32_t* nearest;    // into a stored plane; -1 outside
};

/// Stored pixels stand as quads: four sequences of a pixel side by side, one 16-byte load.
constexpr int kQuad = 4;
constexpr int quads_of(int sequences) { return (sequences + kQuad - 1) / kQuad; }

/// One channel of [pixels, channels] bytes into lane 0 of `quads` [pixels, kQuad].
void lane_of_bytes(const uint8_t* image, int64_t pixels, int64_t channels, float* quads);
void warp_row(const Warp& warp, int32_t y, const WarpRow& row);
/// quads: aligned to 16 bytes; out: [width, kQuad], aligned too.
void sample_row(const WarpRow& row, const float* quads, int32_t width, float* out);
/// Lane 0 of quads [width, kQuad].
void row_of_lane(const float* quads, int32_t width, float* out);

/// plane *= 1 + field. field: scratch of `width`.
void bias_plane(const Spline& bias, int32_t height, int32_t width, float* field, float* plane);
void gamma_plane(const kernels::Tone& tone, int64_t pixels, float* plane);
void linear_plane(const kernels::Tone& tone, int64_t pixels, float* plane);

/// Banded matrices. weights: rows [height, 2 * radius + 1], columns [2 * radius + 1, width].
void filter_rows(const float* weights, int radius, int32_t height, int32_t width, const float* in,
                 float* out);
/// padded: scratch of width + 2 * kBandRadius.
void filter_columns(const float* weights, int radius, int32_t height, int32_t width, float* padded,
                    const float* in, float* out);

struct NoiseOf {
  kernels::PhiloxKey key;
  uint32_t epoch, draw, layer;
};
void rician_plane(const NoiseOf& noise, float sigma, uint32_t pixels, float* plane);
void gaussian_plane(const NoiseOf& noise, float sigma, uint32_t pixels, float* plane);

/// Row y of one sequence into the batch: out[x * channels]. mask: the row, 0 or 1, or null.
struct Finish {
  kernels::ChannelScale scale;
  kernels::MaskUse use;
  bool dropped;
  int32_t hidden_begin, hidden_end;  // columns of this row that cutout hides
};
void finish_row(const Finish& finish, const float* plane_row, const uint8_t* mask, int32_t width,
                int32_t channels, float* out);

}  // namespace gliograd::augment_rows
