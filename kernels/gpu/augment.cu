// A block makes a few rows of one image, all its channels, a thread a pixel: every value is
// computed where it is stored. What is done to the image each of its blocks draws for itself, a
// thread a transform: to wait for one thread that draws them all would take longer. Where a
// sequence is blurred or brought to low resolution, the block first makes those rows of it, and as
// many above and below as the filters reach, in shared memory.
#include "kernels/augment.hpp"
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"

namespace gliograd::kernels {
namespace {

constexpr int kThreads = 256;
// Blocks on a multiprocessor at once: as many as leave the registers that a pixel needs.
template <class T>
constexpr int kBlocks = sizeof(T) == 2 ? 3 : 2;
constexpr int kReach = 2 * kBandRadius;  // of blur and low resolution, one behind the other
constexpr int kBiasKnots = 25;           // of a sequence: bias_spacing makes 5 by 5 at most
constexpr int kMostShared = 227 << 10;   // bytes that a block can have on sm_90
constexpr int kSharedOnAll = 160 << 10;  // and on sm_80, with room for the static part

// Knots of one smooth field in shared memory.
struct Field {
  const float* knots;
  int columns;
  float spacing_y, spacing_x;
};

// The four rows of knots first, then the four columns: the order of the sum on the CPU.
__device__ float field_at(const Field& f, int y, int x) {
  const SplineTaps row = spline_taps(y, f.spacing_y), column = spline_taps(x, f.spacing_x);
  float sum = 0;
  for (int j = 0; j < 4; ++j) {
    const float* knot = f.knots + row.first * f.columns + column.first + j;
    const float value = ((row.weight[0] * knot[0] + row.weight[1] * knot[f.columns]) +
                         row.weight[2] * knot[2 * f.columns]) +
                        row.weight[3] * knot[3 * f.columns];
    sum += column.weight[j] * value;
  }
  return sum;
}

// What a block knows of its image.
struct Image {
  const AugmentBatch& batch;
  const AugmentParams& p;
  InverseMap map;
  int64_t slice;
  Field elastic_y, elastic_x;
  const float* bias;  // kBiasKnots a sequence

  __device__ const ChannelScale& scale(int c) const {
    const ResidentSet& set = batch.set;
    return set.scales[set.patients[slice] * set.channels + batch.input.sequences[c]];
  }
};

// Where an output pixel comes from.
struct Source {
  AxisTaps y, x;
  float at_y, at_x;
};

__device__ Source source_of(const Image& image, int y, int x) {
  float dy = 0, dx = 0;
  if (image.p.elastic > 0) {
    dy = field_at(image.elastic_y, y, x);
    dx = field_at(image.elastic_x, y, x);
  }
  dy = (static_cast<float>(y) - image.map.out_center_y) + dy;
  dx = (static_cast<float>(x) - image.map.out_center_x) + dx;
  Source s;
  s.at_y = source_y(image.map, dy, dx);
  s.at_x = source_x(image.map, dy, dx);
  s.y = axis_taps(s.at_y, static_cast<int32_t>(image.batch.set.height), image.p.fill);
  s.x = axis_taps(s.at_x, static_cast<int32_t>(image.batch.set.width), image.p.fill);
  return s;
}

// Sequence c there, with its bias field: what the filters see.
__device__ float warped(const Image& image, const Source& s, int c, int y, int x) {
  const ResidentSet& set = image.batch.set;
  const uint8_t* bytes = set.images + image.slice * set.height * set.width * set.channels +
                         image.batch.input.sequences[c];
  const auto at = [&](int32_t row, int32_t column) {
    return static_cast<float>(bytes[(row * set.width + column) * set.channels]);
  };
  float v = bilinear(at(s.y.low, s.x.low), at(s.y.low, s.x.high), at(s.y.high, s.x.low),
                     at(s.y.high, s.x.high), s.y.low_weight, s.y.high_weight, s.x.low_weight,
                     s.x.high_weight);
  if (image.p.channel[c].bias != 0) {
    const InputSpec& input = image.batch.input;
    const float spacing_y = bias_spacing(input.height), spacing_x = bias_spacing(input.width);
    const Field field{image.bias + c * kBiasKnots, spline_knots(input.width, spacing_x), spacing_y,
                      spacing_x};
    v *= 1.0f + field_at(field, y, x);
  }
  return v;
}

// What the filters leave to do, pixel by pixel.
__device__ float toned(const Image& image, int c, int y, int x, float v) {
  const ChannelParams& p = image.p.channel[c];
  const InputSpec& input = image.batch.input;
  const ChannelScale& scale = image.scale(c);
  const uint32_t pixels = static_cast<uint32_t>(input.height) * static_cast<uint32_t>(input.width);
  const uint32_t pixel =
      static_cast<uint32_t>(y) * static_cast<uint32_t>(input.width) + static_cast<uint32_t>(x);
  const auto noise = [&](uint32_t layer, uint32_t block) {
    return noise_block(image.batch.key, image.p.epoch, image.p.draw,
                       layer + static_cast<uint32_t>(c), block);
  };
  if (p.rician > 0) {
    const uint32_t stride = rician_stride(pixels);
    const PhiloxBlock b = noise(kRicianLayer, pixel % stride);
    const NormalPair pair =
        pixel < stride ? normal_pair(b.word[0], b.word[1]) : normal_pair(b.word[2], b.word[3]);
    v = rician(v, p.rician / scale.a, pair);
  }
  if (p.gamma != 1 || p.contrast != 1 || p.brightness != 0) {
    const Tone tone = tone_of(p, scale);
    if (p.gamma != 1) v = gamma_tone(v, tone);
    if (p.contrast != 1 || p.brightness != 0) v = linear_tone(v, tone);
  }
  if (p.gaussian > 0) {
    const uint32_t stride = gaussian_stride(pixels);
    const PhiloxBlock b = noise(kGaussianLayer, pixel % stride);
    const uint32_t which = pixel / stride;  // of the block's four numbers
    const NormalPair pair =
        which < 2 ? normal_pair(b.word[0], b.word[1]) : normal_pair(b.word[2], b.word[3]);
    v += p.gaussian / scale.a * (which % 2 == 0 ? pair.first : pair.second);
  }
  return v;
}

// Rows [begin, end) of a plane [rows, width], whose row 0 is row `top` of the image. weight(i, d)
// as in augment_pixel.hpp.
struct Strip {
  int top, begin, end;
};

template <class Weight>
__device__ void filter_rows(const Strip& strip, int height, int width, int radius,
                            const Weight& weight, const float* in, float* out) {
  for (int at = strip.begin * width + static_cast<int>(threadIdx.x); at < strip.end * width;
       at += kThreads) {
    const int y = at / width, x = at % width;
    float sum = 0;
    for (int d = -radius; d <= radius; ++d) {
      if (y + d < 0 || y + d >= height) continue;
      sum += weight(height, y, d) * in[(y + d - strip.top) * width + x];
    }
    out[(y - strip.top) * width + x] = sum;
  }
}
template <class Weight>
__device__ void filter_columns(const Strip& strip, int width, int radius, const Weight& weight,
                               const float* in, float* out) {
  for (int at = strip.begin * width + static_cast<int>(threadIdx.x); at < strip.end * width;
       at += kThreads) {
    const int y = at / width, x = at % width;
    float sum = 0;
    for (int d = -radius; d <= radius; ++d) {
      if (x + d < 0 || x + d >= width) continue;
      sum += weight(width, x, d) * in[(y - strip.top) * width + x + d];
    }
    out[(y - strip.top) * width + x] = sum;
  }
}

GG_HD_INLINE int clamped(int v, int high) { return v < 0 ? 0 : (v > high ? high : v); }

// Rows [y0, y1) of sequence c after blur and low resolution, into `result` [y1 - y0, width].
// planes: two of [y1 - y0 + 2 * kReach, width]; half: kBandRadius + 1 floats. All threads come here
// together.
__device__ void filtered(const Image& image, int c, int y0, int y1, float* planes, float* half,
                         float* result) {
  const InputSpec& input = image.batch.input;
  const ChannelParams& p = image.p.channel[c];
  const int height = input.height, width = input.width;
  const int blur = p.blur > 0 ? blur_radius(p.blur) : 0;
  const LowResolution low_y = low_resolution_of(p.low_resolution, height);
  const LowResolution low_x = low_resolution_of(p.low_resolution, width);
  const bool low = p.low_resolution > 1;
  const int low_rows = low ? low_resolution_radius(low_y) : 0;
  // Rows that each step has to make, for the next to have what it reads.
  const int top = clamped(y0 - blur - low_rows, height);
  const Strip all{top, top, clamped(y1 + blur + low_rows, height)};
  const Strip blurred{top, clamped(y0 - low_rows, height), clamped(y1 + low_rows, height)};
  const Strip wanted{top, y0, y1};
  float* a = planes;
  float* b = planes + (y1 - y0 + 2 * kReach) * width;
  for (int at = all.begin * width + static_cast<int>(threadIdx.x); at < all.end * width;
       at += kThreads) {
    const int y = at / width, x = at % width;
    a[(y - top) * width + x] = warped(image, source_of(image, y, x), c, y, x);
  }
  if (blur > 0) {
    if (threadIdx.x == 0) gaussian_weights(p.blur, blur, half);
    __syncthreads();
    const auto weight = [&](int size, int i, int d) { return blur_weight(half, blur, size, i, d); };
    filter_rows(blurred, height, width, blur, weight, a, b);
    __syncthreads();
    filter_columns(blurred, width, blur, weight, b, a);
  }
  __syncthreads();
  if (low) {
    filter_rows(
        wanted, height, width, low_rows,
        [&](int size, int i, int d) { return low_resolution_weight(low_y, size, i, d); }, a, b);
    __syncthreads();
    filter_columns(
        wanted, width, low_resolution_radius(low_x),
        [&](int size, int i, int d) { return low_resolution_weight(low_x, size, i, d); }, b, a);
    __syncthreads();
  }
  for (int at = static_cast<int>(threadIdx.x); at < (y1 - y0) * width; at += kThreads) {
    result[at] = a[(y0 - top) * width + at];
  }
  __syncthreads();  // the planes serve the next sequence
}

// Floats of a block's shared memory, in this order.
struct Room {
  int64_t knots = 0;    // of the elastic displacement, on both axes
  int64_t bias = 0;     // kBiasKnots a sequence
  int64_t half = 0;     // of a Gaussian
  int64_t planes = 0;   // two
  int64_t results = 0;  // one a sequence
  GG_HD int64_t bytes() const {
    return static_cast<int64_t>(sizeof(float)) * (2 * knots + bias + half + planes + results);
  }
  GG_HD Room(const AugmentBatch& batch, int rows) {
    const InputSpec& input = batch.input;
    knots = batch.most_knots;
    bias = kBiasKnots * input.sequence_count;
    if (!batch.filters) return;
    half = kBandRadius + 1;
    planes = int64_t{2} * (rows + 2 * kReach) * input.width;
    results = int64_t{rows} * input.width * input.sequence_count;
  }
};

// v[at] = value by choosing among all of them: an array with an index that only the running program
// knows would lie in local memory. Unrolling the loop over c instead would make nine copies of all
// that is done to a value, more code than the instruction caches hold.
__device__ __forceinline__ void put(float (&v)[kMaxSequences + 1], int at, float value) {
  GG_UNROLL
  for (int c = 0; c <= kMaxSequences; ++c) v[c] = c == at ? value : v[c];
}

template <class T>
__device__ void store_pixel(const Image& image, int y, int x, const float (&v)[kMaxSequences + 1]) {
  const AugmentBatch& batch = image.batch;
  const int64_t pixel =
      (static_cast<int64_t>(blockIdx.y) * batch.input.height + y) * batch.input.width + x;
  T* to = static_cast<T*>(batch.out) + pixel * batch.channels;
  if (batch.channels == 8) {
    float all[8];
    GG_UNROLL
    for (int c = 0; c < 8; ++c) all[c] = v[c];
    store_pack(to, all);
  } else {
    GG_UNROLL
    for (int c = 0; c <= kMaxSequences; ++c) {
      if (c < batch.channels) store_value(to + c, v[c]);
    }
    for (int64_t c = kMaxSequences + 1; c < batch.channels; ++c) store_value(to + c, 0.0f);
  }
}

// Of the block's image. All threads come here together.
__device__ void take_params(const AugmentBatch& batch, AugmentParams& params) {
  if (batch.params != nullptr) {
    if (threadIdx.x == 0) params = batch.params[blockIdx.y];
    __syncthreads();
    return;
  }
  const AugmentDraw draw{batch.key, static_cast<uint32_t>(batch.state->epoch),
                         static_cast<uint32_t>(batch.state->draw) + blockIdx.y};
  if (threadIdx.x == 0) params = undrawn(draw, batch.options);
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < augment_draws(batch.input); i += kThreads) {
    draw_transform(draw, i, batch.options, batch.input, params);
  }
  __syncthreads();
  if (threadIdx.x == 0) keep_one_sequence(draw, batch.input, params);
  __syncthreads();
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks<T>)
    images_kernel(AugmentBatch batch, int rows) {
  GG_DYNAMIC_SHARED(float, memory);
  __shared__ AugmentParams params;
  const InputSpec& input = batch.input;
  const Room room(batch, rows);
  float* knots_y = memory;
  float* knots_x = knots_y + room.knots;
  float* bias = knots_x + room.knots;
  float* half = bias + room.bias;
  float* planes = half + room.half;
  float* results = planes + room.planes;
  const int y0 = static_cast<int>(blockIdx.x) * rows;
  const int y1 = y0 + rows < input.height ? y0 + rows : input.height;
  const int32_t first = batch.state != nullptr ? batch.state->draw : 0;
  const int64_t slice = batch.order[first + static_cast<int>(blockIdx.y)];
  take_params(batch, params);

  const int columns = spline_knots(input.width, params.elastic_spacing);
  if (params.elastic > 0) {
    const int count = spline_knots(input.height, params.elastic_spacing) * columns;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
      const Displacement d = elastic_knot(batch.key, params, i);
      knots_y[i] = d.y;
      knots_x[i] = d.x;
    }
  }
  const int bias_knots = spline_knots(input.height, bias_spacing(input.height)) *
                         spline_knots(input.width, bias_spacing(input.width));
  for (int i = static_cast<int>(threadIdx.x); i < bias_knots * input.sequence_count;
       i += kThreads) {
    const int c = i / bias_knots, knot = i % bias_knots;
    if (params.channel[c].bias != 0) {
      bias[c * kBiasKnots + knot] = bias_knot(batch.key, params, c, knot);
    }
  }
  __syncthreads();

  const float spacing = params.elastic_spacing;
  const Image image{
      batch,
      params,
      inverse_map(params, batch.set.height, batch.set.width, input.height, input.width),
      slice,
      {knots_y, columns, spacing, spacing},
      {knots_x, columns, spacing, spacing},
      bias};
  const auto is_filtered = [&](int c) {
    const ChannelParams& p = params.channel[c];
    return p.dropped == 0 && (p.blur > 0 || p.low_resolution > 1);
  };
  for (int c = 0; c < input.sequence_count; ++c) {
    if (is_filtered(c)) {
      filtered(image, c, y0, y1, planes, half, results + c * rows * input.width);
    }
  }

  const uint8_t* stored_mask = batch.set.masks == nullptr
                                   ? nullptr
                                   : batch.set.masks + slice * batch.set.height * batch.set.width;
  for (int at = static_cast<int>(threadIdx.x); at < (y1 - y0) * input.width; at += kThreads) {
    const int y = y0 + at / input.width, x = at % input.width;
    const Source source = source_of(image, y, x);
    bool inside = false;
    if (stored_mask != nullptr) {
      const int32_t row =
          nearest_pixel(source.at_y, static_cast<int32_t>(batch.set.height), params.fill);
      const int32_t column =
          nearest_pixel(source.at_x, static_cast<int32_t>(batch.set.width), params.fill);
      inside = row >= 0 && column >= 0 && stored_mask[row * batch.set.width + column] != 0;
    }
    const bool cut = y >= params.cutout[0] && y < params.cutout[2] && x >= params.cutout[1] &&
                     x < params.cutout[3];
    float v[kMaxSequences + 1] = {};
    for (int c = 0; c < input.sequence_count; ++c) {
      const bool dropped = params.channel[c].dropped != 0;
      float raw =
          is_filtered(c) ? results[c * rows * input.width + at] : warped(image, source, c, y, x);
      if (!dropped) raw = toned(image, c, y, x, raw);
      put(v, c, network_value(raw, image.scale(c), dropped || cut, inside, input.mask));
    }
    if (input.mask == MaskUse::channel) put(v, input.sequence_count, inside ? 1.0f : 0.0f);
    store_pixel<T>(image, y, x, v);
    if (batch.masks != nullptr) {
      batch.masks[(static_cast<int64_t>(blockIdx.y) * input.height + y) * input.width + x] =
          inside ? 1 : 0;
    }
  }
}

__global__ void rows_kernel(GatherRows g) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= g.rows * g.width) return;
  g.to[i] = g.table[g.order[g.state->draw + i / g.width] * g.width + i % g.width];
}

// Rows of a block. Few for a small batch, so that its blocks fill the largest GPUs; at most eight
// pixels a thread for a large one. With filters always those, since each block makes the rows that
// they reach beyond its own anew. Fewer where the memory for them is not there; and all blocks of
// an image alike.
int rows_of(const AugmentBatch& batch) {
  constexpr int64_t kFull = int64_t{3} * 132;  // blocks that run at once on an H100 or H200
  constexpr int64_t kMostPixels = 8;           // a thread
  const int width = batch.input.width, height = batch.input.height;
  const int64_t threads = kFull * kThreads;
  const int64_t each = (batch.images * height * width + threads - 1) / threads;
  const int64_t pixels = batch.filters || each > kMostPixels ? kMostPixels : each;
  int rows = clamped(static_cast<int>(pixels * kThreads / width), height);
  rows = rows > 0 ? rows : 1;
  while (rows > 1 && Room(batch, rows).bytes() > kSharedOnAll) rows = (rows + 1) / 2;
  const int blocks = (height + rows - 1) / rows;
  return (height + blocks - 1) / blocks;
}

void images(Queue queue, const AugmentBatch& batch) {
  const InputSpec& input = batch.input;
  const int rows = rows_of(batch);
  const int64_t bytes = Room(batch, rows).bytes();
  if (bytes > kMostShared - static_cast<int64_t>(sizeof(AugmentParams))) {
    throw DeviceError("augment: a window of " + std::to_string(input.width) +
                      " pixels is too wide for a block's memory");
  }
  with_float_type(batch.dtype, [&](auto t) {
    using T = decltype(t);
    const double pixels =
        static_cast<double>(batch.images) * static_cast<double>(input.height * input.width);
    const Launch shape{.name = "augment_images",
                       .grid = dim3(static_cast<unsigned>((input.height + rows - 1) / rows),
                                    static_cast<unsigned>(batch.images)),
                       .block = kThreads,
                       .shared_bytes = static_cast<size_t>(bytes),
                       // Bilinear sampling alone: eight operations a value.
                       .cost = {.bytes = pixels * (input.channels() +
                                                   static_cast<double>(batch.channels) * sizeof(T)),
                                .ops = 8 * pixels * input.channels()}};
    launch(shape, queue, images_kernel<T>, batch, rows);
  });
}

void rows(Queue queue, const GatherRows& g) {
  constexpr int kBlock = 128;
  const int64_t values = g.rows * g.width;
  launch({.name = "gather_rows",
          .grid = static_cast<unsigned>((values + kBlock - 1) / kBlock),
          .block = kBlock,
          .cost = {.bytes = 8.0 * static_cast<double>(values) + 4.0 * static_cast<double>(g.rows)}},
         queue, rows_kernel, g);
}

const Provide<augment_images> provide_images{images};
const Provide<gather_rows> provide_rows{rows};

}  // namespace
}  // namespace gliograd::kernels
