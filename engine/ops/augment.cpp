// Reading order: one image (geometry, its knots, its sequences, the end), then the batch.
#include "engine/ops/augment.hpp"

#include <algorithm>
#include <cstring>

#include "engine/core/parallel.hpp"
#include "engine/ops/augment_cuda.hpp"
#include "engine/ops/augment_options.hpp"
#include "engine/ops/augment_rows.hpp"

namespace gliograd {
namespace {

namespace rows = augment_rows;
using namespace kernels;

// One thread's scratch memory, cut into arrays. Asked twice: once without memory, to count, once to
// hand out.
class Scratch {
 public:
  explicit Scratch(char* base) : base_(base) {}
  template <class T>
  T* take(int64_t count) {
    T* here = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return here;
  }
  int64_t used() const { return used_; }

 private:
  char* base_;
  int64_t used_ = 0;
};

struct Arrays {
  float* stored;    // [quads, stored pixels, kQuad]
  float* quad_row;  // [width, kQuad]
  float* planes;    // [sequences, plane]
  float* other;     // [plane]: the other side of a filter
  uint8_t* mask;    // [pixels]
  rows::WarpRow row;
  float* field;           // [width]: a row of the bias field
  float* padded;          // [width + 2 * kBandRadius]
  float* row_weights;     // [height, 2 * kBandRadius + 1]
  float* column_weights;  // [2 * kBandRadius + 1, width]
  float* knots[2];        // [kMaxKnots, kMaxKnots]
  float* knot_weights;    // [kMaxKnots, width]
};

Arrays arrays_in(Scratch& scratch, const ResidentSet& set, const InputSpec& input) {
  const int64_t pixels = int64_t{input.height} * input.width, w = input.width;
  Arrays a{};
  const int64_t quads = rows::quads_of(input.sequence_count);
  a.stored = scratch.take<float>(quads * set.height * set.width * rows::kQuad);
  a.quad_row = scratch.take<float>(w * rows::kQuad);
  a.planes = scratch.take<float>(input.sequence_count * rows::plane_size(pixels));
  a.other = scratch.take<float>(rows::plane_size(pixels));
  a.mask = scratch.take<uint8_t>(pixels);
  a.row.dy = scratch.take<float>(w);
  a.row.dx = scratch.take<float>(w);
  for (int32_t*& offset : a.row.offset) offset = scratch.take<int32_t>(w);
  for (float*& weight : a.row.weight) weight = scratch.take<float>(w);
  a.row.nearest = scratch.take<int32_t>(w);
  a.field = scratch.take<float>(w);
  a.padded = scratch.take<float>(w + 2 * kBandRadius);
  a.row_weights = scratch.take<float>(input.height * (2 * kBandRadius + 1));
  a.column_weights = scratch.take<float>(w * (2 * kBandRadius + 1));
  for (float*& knots : a.knots) knots = scratch.take<float>(kMaxKnots * kMaxKnots);
  a.knot_weights = scratch.take<float>(kMaxKnots * w);
  return a;
}

// What one image is made of.
struct Image {
  const ResidentSet& set;
  const InputSpec& input;
  const AugmentParams& params;
  PhiloxKey key;
  int32_t slice;
};

void fill_knot_weights(float spacing, int32_t columns, int32_t width, float* weights) {
  std::memset(weights, 0, sizeof(float) * static_cast<size_t>(columns * width));
  for (int32_t x = 0; x < width; ++x) {
    const SplineTaps tap = spline_taps(x, spacing);
    for (int k = 0; k < 4; ++k) weights[(tap.first + k) * width + x] = tap.weight[k];
  }
}

void warp(const Image& image, const Arrays& a) {
  const InputSpec& input = image.input;
  const AugmentParams& p = image.params;
  const int64_t stored_pixels = image.set.height * image.set.width;
  const int64_t plane = rows::plane_size(int64_t{input.height} * input.width);
  const uint8_t* bytes = image.set.images + image.slice * stored_pixels * image.set.channels;
  // Lanes beyond the last sequence repeat it, so that no loop computes with undefined values.
  const int lanes = rows::quads_of(input.sequence_count) * rows::kQuad;
  for (int c = 0; c < lanes; ++c) {
    const int32_t sequence = input.sequences[std::min(c, input.sequence_count - 1)];
    rows::lane_of_bytes(bytes + sequence, stored_pixels, image.set.channels,
                        a.stored + c / rows::kQuad * stored_pixels * rows::kQuad + c % rows::kQuad);
  }
  rows::Warp w{};
  w.map = inverse_map(p, image.set.height, image.set.width, input.height, input.width);
  w.fill = p.fill;
  w.stored_height = static_cast<int32_t>(image.set.height);
  w.stored_width = static_cast<int32_t>(image.set.width);
  w.width = input.width;
  if (p.elastic > 0) {
    const int knot_rows = spline_knots(input.height, p.elastic_spacing);
    const int columns = spline_knots(input.width, p.elastic_spacing);
    for (int i = 0; i < knot_rows * columns; ++i) {
      const Displacement d = elastic_knot(image.key, p, i);
      a.knots[0][i] = d.y;
      a.knots[1][i] = d.x;
    }
    fill_knot_weights(p.elastic_spacing, columns, input.width, a.knot_weights);
    w.elastic_y = {a.knots[0], a.knot_weights, knot_rows, columns, p.elastic_spacing};
    w.elastic_x = {a.knots[1], a.knot_weights, knot_rows, columns, p.elastic_spacing};
  }
  const uint8_t* mask =
      image.set.masks == nullptr ? nullptr : image.set.masks + image.slice * stored_pixels;
  for (int32_t y = 0; y < input.height; ++y) {
    rows::warp_row(w, y, a.row);
    const int64_t at = int64_t{y} * input.width;
    for (int c = 0; c < input.sequence_count; ++c) {
      if (c % rows::kQuad == 0) {
        rows::sample_row(a.row, a.stored + c * stored_pixels, input.width, a.quad_row);
      }
      rows::row_of_lane(a.quad_row + c % rows::kQuad, input.width, a.planes + c * plane + at);
    }
    if (mask == nullptr) continue;
    for (int32_t x = 0; x < input.width; ++x) {
      const int32_t from = a.row.nearest[x];
      a.mask[at + x] = from >= 0 && mask[from] != 0 ? 1 : 0;
    }
  }
}

void bias(const Image& image, int c, const Arrays& a, float* plane) {
  const InputSpec& input = image.input;
  const float spacing_y = bias_spacing(input.height), spacing_x = bias_spacing(input.width);
  const int knot_rows = spline_knots(input.height, spacing_y);
  const int columns = spline_knots(input.width, spacing_x);
  for (int i = 0; i < knot_rows * columns; ++i) {
    a.knots[0][i] = bias_knot(image.key, image.params, c, i);
  }
  fill_knot_weights(spacing_x, columns, input.width, a.knot_weights);
  const rows::Spline spline{a.knots[0], a.knot_weights, knot_rows, columns, spacing_y};
  rows::bias_plane(spline, input.height, input.width, a.field, plane);
}

// Both axes of a banded filter; weight_of(size, i, d).
template <class WeightOf>
void filter(const InputSpec& input, int radius_y, int radius_x, const WeightOf& weight_of,
            const Arrays& a, float* plane) {
  for (int32_t y = 0; y < input.height; ++y) {
    for (int d = -radius_y; d <= radius_y; ++d) {
      a.row_weights[y * (2 * radius_y + 1) + d + radius_y] = weight_of(input.height, y, d);
    }
  }
  for (int d = -radius_x; d <= radius_x; ++d) {
    for (int32_t x = 0; x < input.width; ++x) {
      a.column_weights[(d + radius_x) * input.width + x] = weight_of(input.width, x, d);
    }
  }
  rows::filter_rows(a.row_weights, radius_y, input.height, input.width, plane, a.other);
  rows::filter_columns(a.column_weights, radius_x, input.height, input.width, a.padded, a.other,
                       plane);
}

void blur(const Image& image, float sigma, const Arrays& a, float* plane) {
  const int radius = blur_radius(sigma);
  float half[kBandRadius + 1];
  gaussian_weights(sigma, radius, half);
  filter(
      image.input, radius, radius,
      [&](int32_t size, int32_t i, int d) { return blur_weight(half, radius, size, i, d); }, a,
      plane);
}

void low_resolution(const Image& image, float factor, const Arrays& a, float* plane) {
  const LowResolution y = low_resolution_of(factor, image.input.height);
  const LowResolution x = low_resolution_of(factor, image.input.width);
  filter(
      image.input, low_resolution_radius(y), low_resolution_radius(x),
      [&](int32_t size, int32_t i, int d) {
        return low_resolution_weight(low_resolution_of(factor, size), size, i, d);
      },
      a, plane);
}

void intensities(const Image& image, int c, const Arrays& a, float* plane) {
  const ChannelParams& p = image.params.channel[c];
  const int64_t patient = image.set.patients[image.slice];
  const ChannelScale scale =
      image.set.scales[patient * image.set.channels + image.input.sequences[c]];
  const uint32_t pixels =
      static_cast<uint32_t>(image.input.height) * static_cast<uint32_t>(image.input.width);
  const auto noise = [&](uint32_t layer) {
    return rows::NoiseOf{image.key, image.params.epoch, image.params.draw,
                         layer + static_cast<uint32_t>(c)};
  };
  if (p.bias != 0) bias(image, c, a, plane);
  if (p.blur > 0) blur(image, p.blur, a, plane);
  if (p.low_resolution > 1) low_resolution(image, p.low_resolution, a, plane);
  if (p.rician > 0) rows::rician_plane(noise(kRicianLayer), p.rician / scale.a, pixels, plane);
  const Tone tone = tone_of(p, scale);
  if (p.gamma != 1) rows::gamma_plane(tone, pixels, plane);
  if (p.contrast != 1 || p.brightness != 0) rows::linear_plane(tone, pixels, plane);
  if (p.gaussian > 0) {
    rows::gaussian_plane(noise(kGaussianLayer), p.gaussian / scale.a, pixels, plane);
  }
}

// Cutout, mask, normalization, and the order that the network wants.
void finish(const Image& image, const Arrays& a, float* out, uint8_t* mask_out) {
  const InputSpec& input = image.input;
  const AugmentParams& p = image.params;
  const int64_t plane = rows::plane_size(int64_t{input.height} * input.width);
  const ChannelScale* scales =
      image.set.scales + image.set.patients[image.slice] * image.set.channels;
  const int32_t channels = input.channels();
  const bool has_mask = image.set.masks != nullptr;
  for (int32_t y = 0; y < input.height; ++y) {
    const int64_t at = int64_t{y} * input.width;
    const bool cut = y >= p.cutout[0] && y < p.cutout[2];
    for (int c = 0; c < input.sequence_count; ++c) {
      const rows::Finish f{scales[input.sequences[c]], input.mask, p.channel[c].dropped != 0,
                           cut ? p.cutout[1] : 0, cut ? p.cutout[3] : 0};
      rows::finish_row(f, a.planes + c * plane + at, has_mask ? a.mask + at : nullptr, input.width,
                       channels, out + at * channels + c);
    }
    if (input.mask == MaskUse::channel) {
      float* to = out + at * channels + input.sequence_count;
      for (int32_t x = 0; x < input.width; ++x)
        to[x * channels] = a.mask[at + x] != 0 ? 1.0f : 0.0f;
    }
  }
  if (mask_out != nullptr) {
    std::memcpy(mask_out, a.mask, static_cast<size_t>(int64_t{input.height} * input.width));
  }
}

void check_params(const AugmentParams& p, const InputSpec& input) {
  const auto check = [](const char* name, float value, float low, float high) {
    GG_CHECK(value >= low && value <= high, "augment: ", name, " must be ", low, " to ", high,
             "; got ", value);
  };
  GG_CHECK(p.fill == Fill::zero || p.fill == Fill::edge, "augment: fill must be 0 or 1; got ",
           static_cast<int32_t>(p.fill));
  check("rotation", p.rotation, -3600, 3600);
  check("scale", p.scale, 0.05f, 20);
  check("stretch", p.stretch, 0.05f, 20);
  check("shear", p.shear, -80, 80);
  check("shift_y", p.shift_y, -1e5f, 1e5f);
  check("shift_x", p.shift_x, -1e5f, 1e5f);
  check("elastic", p.elastic, 0, 1e4f);
  if (p.elastic > 0) check_elastic_spacing(p.elastic_spacing, input);
  for (int c = 0; c < input.sequence_count; ++c) {
    const ChannelParams& q = p.channel[c];
    check("brightness", q.brightness, -1e4f, 1e4f);
    check("contrast", q.contrast, 0, 1e4f);
    check("gamma", q.gamma, 0.01f, 100);
    check("bias", q.bias, 0, 1);
    check("rician", q.rician, 0, 1e4f);
    check("gaussian", q.gaussian, 0, 1e4f);
    check("blur", q.blur, 0, kMaxBlurPixels);
    check("low_resolution", q.low_resolution, 1, kMaxLowResolutionFactor);
  }
}

PhiloxKey key_of(const RandomKey& key) { return {{key.seed, key.low_word()}}; }

// params_of(i): what to do to image i.
template <class ParamsOf>
SampleBatch run(Stream& stream, const ResidentSet& set, const InputSpec& input,
                std::span<const int32_t> slices, const ParamsOf& params_of, WithMasks with_masks) {
  const int64_t n = static_cast<int64_t>(slices.size());
  const int64_t pixels = int64_t{input.height} * input.width;
  SampleBatch batch;
  batch.images = empty(stream, {n, input.height, input.width, input.channels()});
  if (with_masks == WithMasks::yes) {
    batch.masks = empty(stream, {n, input.height, input.width}, DType::u8);
  }
  float* out = batch.images.data<float>();
  uint8_t* mask_out = batch.masks.defined() ? batch.masks.data<uint8_t>() : nullptr;
  const int64_t teams = std::min<int64_t>(stream.threads(), n);
  Scratch count(nullptr);
  arrays_in(count, set, input);
  const Tensor memory = empty(stream, {teams, count.used()}, DType::u8);
  const PhiloxKey key = key_of(stream.random());
  // Thread t takes images t, t + teams, ...; each image is a function of its own parameters alone.
  parallel_for(static_cast<int>(teams), teams, 1, [&](int64_t begin, int64_t end) {
    for (int64_t team = begin; team < end; ++team) {
      Scratch scratch(reinterpret_cast<char*>(memory.data<uint8_t>()) + team * count.used());
      const Arrays arrays = arrays_in(scratch, set, input);
      for (int64_t i = team; i < n; i += teams) {
        const AugmentParams params = params_of(i);
        const Image image{set, input, params, key, slices[static_cast<size_t>(i)]};
        warp(image, arrays);
        const int64_t plane = rows::plane_size(pixels);
        for (int c = 0; c < input.sequence_count; ++c) {
          if (!params.channel[c].dropped) intensities(image, c, arrays, arrays.planes + c * plane);
        }
        finish(image, arrays, out + i * pixels * input.channels(),
               mask_out == nullptr ? nullptr : mask_out + i * pixels);
      }
    }
  });
  return batch;
}

}  // namespace

AugmentParams draw_augment(const RandomKey& key, int32_t epoch, int32_t draw,
                           const AugmentOptions& options, const InputSpec& input) {
  return kernels::draw_augment(key_of(key), static_cast<uint32_t>(epoch),
                               static_cast<uint32_t>(draw), options, input);
}

AugmentParams square_symmetry(int index) {
  GG_CHECK(index >= 0 && index < kSquareSymmetries, "square_symmetry: 0 to ", kSquareSymmetries - 1,
           "; got ", index);
  AugmentParams p;
  p.flip_x = index / 4;
  p.quarter_turns = index % 4;
  return p;
}

SampleBatch augment(Stream& stream, const ResidentSet& set, const InputSpec& input,
                    std::span<const int32_t> slices, const AugmentOptions& options,
                    const StepState& at, WithMasks with_masks) {
  check_sample("augment", stream.device(), set, input, slices, with_masks);
  check_augment_options(options, input);
  const auto params_of = [&, epoch = at.epoch, draw = at.draw](int64_t i) {
    return draw_augment(stream.random(), epoch, draw + static_cast<int32_t>(i), options, input);
  };
  if (stream.device() == Device::cuda) {
    std::vector<AugmentParams> params;
    for (size_t i = 0; i < slices.size(); ++i) params.push_back(params_of(static_cast<int64_t>(i)));
    return augment_as(stream, set, input, slices, params, with_masks);
  }
  return run(stream, set, input, slices, params_of, with_masks);
}

void check_augment_as(const Stream& stream, const ResidentSet& set, const InputSpec& input,
                      std::span<const int32_t> slices, std::span<const AugmentParams> params,
                      WithMasks with_masks) {
  check_sample("augment", stream.device(), set, input, slices, with_masks);
  GG_CHECK(params.size() == slices.size(), "augment: needs one set of parameters a slice; got ",
           params.size(), " for ", slices.size());
  for (const AugmentParams& p : params) check_params(p, input);
}

SampleBatch augment_as(Stream& stream, const ResidentSet& set, const InputSpec& input,
                       std::span<const int32_t> slices, std::span<const AugmentParams> params,
                       WithMasks with_masks) {
  if (stream.device() == Device::cuda) {
    return augment_as(stream, set, input, slices, params, plain_form(input, slices, with_masks));
  }
  check_augment_as(stream, set, input, slices, params, with_masks);
  const auto params_of = [&](int64_t i) { return params[static_cast<size_t>(i)]; };
  return run(stream, set, input, slices, params_of, with_masks);
}

}  // namespace gliograd
