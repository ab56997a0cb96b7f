#include "engine/ops/augment_rows.hpp"

#include "engine/core/simd.hpp"

namespace gliograd::augment_rows {

using namespace kernels;

GG_MULTIVERSION void lane_of_bytes(const uint8_t* __restrict image, int64_t pixels,
                                   int64_t channels, float* __restrict quads) {
  for (int64_t i = 0; i < pixels; ++i) quads[i * kQuad] = static_cast<float>(image[i * channels]);
}

// out[x] = sum over rows k of the four knot rows at y, over knot columns j, in this order, as
// kernels/augment_map.hpp states it: first along y, then along x.
GG_MULTIVERSION static void spline_row(const Spline& s, int32_t y, int32_t width,
                                       float* __restrict out) {
  const SplineTaps tap = spline_taps(y, s.spacing);
  const float* __restrict weights = s.weights;
  for (int32_t x = 0; x < width; ++x) out[x] = 0;
  for (int32_t j = 0; j < s.columns; ++j) {
    const float* knot = s.knots + tap.first * s.columns + j;
    const float value = ((tap.weight[0] * knot[0] + tap.weight[1] * knot[s.columns]) +
                         tap.weight[2] * knot[2 * s.columns]) +
                        tap.weight[3] * knot[3 * s.columns];
    for (int32_t x = 0; x < width; ++x) out[x] += weights[j * width + x] * value;
  }
}

GG_MULTIVERSION static void source_row(const InverseMap& m, int32_t y, int32_t width,
                                       float* __restrict dy, float* __restrict dx) {
  const float from_center = static_cast<float>(y) - m.out_center_y;
  for (int32_t x = 0; x < width; ++x) {
    const float py = from_center + dy[x];
    const float px = (static_cast<float>(x) - m.out_center_x) + dx[x];
    dy[x] = source_y(m, py, px);
    dx[x] = source_x(m, py, px);
  }
}

// One axis; `stride` turns a pixel of it into an offset.
GG_MULTIVERSION static void taps_row(const float* __restrict source, int32_t size, int32_t stride,
                                     Fill fill, int32_t width, int32_t* __restrict low,
                                     int32_t* __restrict high, float* __restrict low_weight,
                                     float* __restrict high_weight) {
  for (int32_t x = 0; x < width; ++x) {
    const AxisTaps t = axis_taps(source[x], size, fill);
    low[x] = t.low * stride;
    high[x] = t.high * stride;
    low_weight[x] = t.low_weight;
    high_weight[x] = t.high_weight;
  }
}

GG_MULTIVERSION static void nearest_row(const float* __restrict sy, const float* __restrict sx,
                                        int32_t stored_height, int32_t stored_width, Fill fill,
                                        int32_t width, int32_t* __restrict nearest) {
  for (int32_t x = 0; x < width; ++x) {
    const int32_t ny = nearest_pixel(sy[x], stored_height, fill);
    const int32_t nx = nearest_pixel(sx[x], stored_width, fill);
    const int32_t at = ny * stored_width + nx;
    nearest[x] = (ny | nx) < 0 ? -1 : at;
  }
}

void warp_row(const Warp& warp, int32_t y, const WarpRow& row) {
  if (warp.elastic_y.knots != nullptr) {
    spline_row(warp.elastic_y, y, warp.width, row.dy);
    spline_row(warp.elastic_x, y, warp.width, row.dx);
  } else {
    for (int32_t x = 0; x < warp.width; ++x) row.dy[x] = row.dx[x] = 0;
  }
  source_row(warp.map, y, warp.width, row.dy, row.dx);
  taps_row(row.dy, warp.stored_height, warp.stored_width, warp.fill, warp.width, row.offset[0],
           row.offset[1], row.weight[0], row.weight[1]);
  taps_row(row.dx, warp.stored_width, 1, warp.fill, warp.width, row.offset[2], row.offset[3],
           row.weight[2], row.weight[3]);
  nearest_row(row.dy, row.dx, warp.stored_height, warp.stored_width, warp.fill, warp.width,
              row.nearest);
}

// The four lanes of a quad go through bilinear() of kernels/augment_pixel.hpp together. Gathering
// one sequence at a time costs four times as much: 126 against 29 us for three at 128 by 128.
void sample_row(const WarpRow& row, const float* quads, int32_t width, float* out) {
  typedef float Quad __attribute__((vector_size(4 * kQuad)));
  const Quad* stored = reinterpret_cast<const Quad*>(quads);
  Quad* to = reinterpret_cast<Quad*>(out);
  const int32_t *above = row.offset[0], *below = row.offset[1];
  const int32_t *left = row.offset[2], *right = row.offset[3];
  const float *top = row.weight[0], *bottom = row.weight[1];
  const float *left_weight = row.weight[2], *right_weight = row.weight[3];
  for (int32_t x = 0; x < width; ++x) {
    const Quad upper =
        left_weight[x] * stored[above[x] + left[x]] + right_weight[x] * stored[above[x] + right[x]];
    const Quad lower =
        left_weight[x] * stored[below[x] + left[x]] + right_weight[x] * stored[below[x] + right[x]];
    to[x] = top[x] * upper + bottom[x] * lower;
  }
}

GG_MULTIVERSION void row_of_lane(const float* __restrict quads, int32_t width,
                                 float* __restrict out) {
  for (int32_t x = 0; x < width; ++x) out[x] = quads[x * kQuad];
}

GG_MULTIVERSION static void multiply_row(int32_t width, const float* __restrict field,
                                         float* __restrict row) {
  for (int32_t x = 0; x < width; ++x) row[x] *= 1.0f + field[x];
}

void bias_plane(const Spline& bias, int32_t height, int32_t width, float* field, float* plane) {
  for (int32_t y = 0; y < height; ++y) {
    spline_row(bias, y, width, field);
    multiply_row(width, field, plane + int64_t{y} * width);
  }
}

GG_MULTIVERSION void gamma_plane(const Tone& tone, int64_t pixels, float* __restrict plane) {
  const Tone t = tone;
  for (int64_t i = 0; i < pixels; ++i) plane[i] = gamma_tone(plane[i], t);
}

GG_MULTIVERSION void linear_plane(const Tone& tone, int64_t pixels, float* __restrict plane) {
  const Tone t = tone;
  for (int64_t i = 0; i < pixels; ++i) plane[i] = linear_tone(plane[i], t);
}

GG_MULTIVERSION void filter_rows(const float* weights, int radius, int32_t height, int32_t width,
                                 const float* __restrict in, float* __restrict out) {
  const int taps = 2 * radius + 1;
  for (int32_t y = 0; y < height; ++y) {
    float* __restrict to = out + int64_t{y} * width;
    for (int32_t x = 0; x < width; ++x) to[x] = 0;
    for (int d = -radius; d <= radius; ++d) {
      if (y + d < 0 || y + d >= height) continue;
      const float weight = weights[y * taps + d + radius];
      const float* __restrict from = in + int64_t{y + d} * width;
      for (int32_t x = 0; x < width; ++x) to[x] += weight * from[x];
    }
  }
}

GG_MULTIVERSION void filter_columns(const float* weights, int radius, int32_t height, int32_t width,
                                    float* __restrict padded, const float* __restrict in,
                                    float* __restrict out) {
  for (int32_t x = 0; x < width + 2 * radius; ++x) padded[x] = 0;
  for (int32_t y = 0; y < height; ++y) {
    for (int32_t x = 0; x < width; ++x) padded[radius + x] = in[int64_t{y} * width + x];
    float* __restrict to = out + int64_t{y} * width;
    for (int32_t x = 0; x < width; ++x) to[x] = 0;
    for (int d = 0; d <= 2 * radius; ++d) {
      const float* __restrict weight = weights + int64_t{d} * width;
      const float* __restrict from = padded + d;
      for (int32_t x = 0; x < width; ++x) to[x] += weight[x] * from[x];
    }
  }
}

GG_MULTIVERSION static void rician_halves(const NoiseOf& n, float sigma, uint32_t stride,
                                          float* __restrict first, float* __restrict second) {
  const NoiseOf noise = n;
  for (uint32_t j = 0; j < stride; ++j) {
    const PhiloxBlock b = noise_block(noise.key, noise.epoch, noise.draw, noise.layer, j);
    first[j] = rician(first[j], sigma, normal_pair(b.word[0], b.word[1]));
    second[j] = rician(second[j], sigma, normal_pair(b.word[2], b.word[3]));
  }
}

void rician_plane(const NoiseOf& noise, float sigma, uint32_t pixels, float* plane) {
  const uint32_t stride = rician_stride(pixels);
  rician_halves(noise, sigma, stride, plane, plane + stride);
}

GG_MULTIVERSION static void gaussian_quarters(const NoiseOf& n, float sigma, uint32_t stride,
                                              float* __restrict p0, float* __restrict p1,
                                              float* __restrict p2, float* __restrict p3) {
  const NoiseOf noise = n;
  for (uint32_t j = 0; j < stride; ++j) {
    const NormalBlock b = normal(noise_block(noise.key, noise.epoch, noise.draw, noise.layer, j));
    p0[j] += sigma * b.value[0];
    p1[j] += sigma * b.value[1];
    p2[j] += sigma * b.value[2];
    p3[j] += sigma * b.value[3];
  }
}

void gaussian_plane(const NoiseOf& noise, float sigma, uint32_t pixels, float* plane) {
  const uint32_t stride = gaussian_stride(pixels);
  gaussian_quarters(noise, sigma, stride, plane, plane + stride, plane + 2 * stride,
                    plane + 3 * stride);
}

GG_MULTIVERSION void finish_row(const Finish& finish, const float* __restrict plane_row,
                                const uint8_t* __restrict mask, int32_t width, int32_t channels,
                                float* __restrict out) {
  const Finish f = finish;
  for (int32_t x = 0; x < width; ++x) {
    const bool hidden = f.dropped | ((x >= f.hidden_begin) & (x < f.hidden_end));
    const bool inside = mask != nullptr && mask[x] != 0;
    out[int64_t{x} * channels] = network_value(plane_row[x], f.scale, hidden, inside, f.use);
  }
}

}  // namespace gliograd::augment_rows
