// The augmentation in four rungs; read from the top. What is to be done to each image is given
// (AugmentParams). It comes from the stored bytes by a backward map (kernels/augment_map.hpp), its
// values go through what a scanner and a display do (kernels/augment_pixel.hpp), and come out
// normalized, in the network's type, eight channels a pixel.
//
// Every number under "Expected" is for 32 images of 256 x 256, three sequences and the mask, out in
// bf16, on an H200: 132 multiprocessors at 1.98 GHz are 33e12 instructions a second (of one thread
// each), 3.07 TB/s measured when copying; a launch takes 0.003 ms at least, as events see it. 2.1
// million pixels, 6.3 million values of sequences. The least is one read of the windows (4 bytes a
// pixel) and one write (16): 42 MB, 0.014 ms. They were written down before any rung had run on a
// GPU. `light` maps, and changes brightness and contrast; `full` does everything
// (data/augment_policy.cpp).
#include <string>

#include "bench/ladder/augment.hpp"
#include "bench/ladder/augment_value.cuh"
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"

namespace gliograd::ladder {
namespace {

constexpr int kThreads = 256;
constexpr int kBiasKnots = 25;  // of a sequence: bias_spacing makes 5 by 5 at most

// A kernel with a thread for each of n values.
template <class Kernel>
void launch_values(const char* name, Queue queue, Kernel kernel, const AugmentPass& pass, int64_t n,
                   double bytes) {
  if (n >= int64_t{1} << 31) throw DeviceError(std::string(name) + ": 2^31 values or more");
  launch({.name = name,
          .grid = static_cast<unsigned>((n + kThreads - 1) / kThreads),
          .block = kThreads,
          .cost = {.bytes = bytes}},
         queue, kernel, pass, static_cast<uint32_t>(n));
}

int64_t pixels_of(const AugmentBatch& b) { return b.images * b.input.height * b.input.width; }

// ---- 1: a launch a transform ------------------------------------------------------------------
// As a framework does it: each transform is a kernel of its own over planes of floats in memory, a
// thread a value. Where an image is not changed its threads return at once.
//
// Expected  light, 0.12 ms, nine times the floor: 8 launches are 0.024; the map costs some 200
//           instructions for each sequence and for the mask, 0.05; the planes go to memory and back
//           three times, 0.05, in part beside the map.
//           full, 0.65 ms, 12 launches: a displaced image (40 %) wants 16 knots on two axes for
//           each value, and a knot is ten rounds of Philox, 110 instructions: 0.4 * 3,500 * 8.4e6,
//           0.36 ms. Bias fields: 0.3 * 16 * 110 * 6.3e6, 0.10. Weights of the low resolution, 9
//           taps of 100 instructions on two axes of 20 %: 0.07. Not memory, but arithmetic that
//           repeats itself.
// Brought   not measured yet.
__global__ void sample_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const AugmentBatch& b = pass.batch;
  const Place at(b, i);
  const AugmentParams& p = b.params[at.image];
  const FreshKnots knots{b.key, p};
  pass.planes[i] = sampled(b, at.image, at.c, source_of(b, p, knots, at.y, at.x));
}

__global__ void mask_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const AugmentBatch& b = pass.batch;
  const auto width = static_cast<uint32_t>(b.input.width);
  const uint32_t pixels = width * static_cast<uint32_t>(b.input.height);
  const auto image = static_cast<int>(i / pixels);
  const AugmentParams& p = b.params[image];
  const Source s = source_of(b, p, FreshKnots{b.key, p}, static_cast<int>(i % pixels / width),
                             static_cast<int>(i % width));
  pass.inside[i] = is_inside(b, p, image, s) ? 1 : 0;
}

__global__ void bias_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const Place at(pass.batch, i);
  const AugmentParams& p = pass.batch.params[at.image];
  if (p.channel[at.c].bias == 0) return;
  const FreshKnots knots{pass.batch.key, p};
  pass.planes[i] = biased(pass.batch, p, knots, at.c, at.y, at.x, pass.planes[i]);
}

// One axis of a filter: rows read the first plane and write the second, columns go back.
enum class Axis { rows, columns };

template <Axis axis, class Weight>
__device__ void filter_value(const AugmentPass& pass, const Place& at, uint32_t i, int radius,
                             const Weight& weight) {
  const InputSpec& input = pass.batch.input;
  float* second = pass.planes + augment_values(pass.batch);
  const float* in = axis == Axis::rows ? pass.planes : second;
  float* out = axis == Axis::rows ? second : pass.planes;
  const int size = axis == Axis::rows ? input.height : input.width;
  const int here = axis == Axis::rows ? at.y : at.x;
  const int step = axis == Axis::rows ? input.width : 1;
  float sum = 0;
  for (int d = -radius; d <= radius; ++d) {
    if (here + d < 0 || here + d >= size) continue;
    sum += weight(size, here, d) * in[static_cast<int>(i) + d * step];
  }
  out[i] = sum;
}

template <Axis axis>
__global__ void blur_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const Place at(pass.batch, i);
  const ChannelParams& p = pass.batch.params[at.image].channel[at.c];
  if (!is_filtered(p) || p.blur <= 0) return;
  float half[kBandRadius + 1];
  const int radius = blur_radius(p.blur);
  gaussian_weights(p.blur, radius, half);
  filter_value<axis>(pass, at, i, radius,
                     [&](int size, int j, int d) { return blur_weight(half, radius, size, j, d); });
}

template <Axis axis>
__global__ void low_resolution_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const Place at(pass.batch, i);
  const InputSpec& input = pass.batch.input;
  const ChannelParams& p = pass.batch.params[at.image].channel[at.c];
  if (!is_filtered(p) || p.low_resolution <= 1) return;
  const LowResolution low =
      low_resolution_of(p.low_resolution, axis == Axis::rows ? input.height : input.width);
  filter_value<axis>(pass, at, i, low_resolution_radius(low), [&](int size, int j, int d) {
    return low_resolution_weight(low, size, j, d);
  });
}

__global__ void rician_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const Place at(pass.batch, i);
  const AugmentParams& p = pass.batch.params[at.image];
  if (p.channel[at.c].rician <= 0) return;
  const float a = scale_of(pass.batch, at.image, at.c).a;
  pass.planes[i] = Noise(pass.batch, p, at.y, at.x).with_rician(at.c, a, pass.planes[i]);
}

__global__ void gamma_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const Place at(pass.batch, i);
  const ChannelParams& p = pass.batch.params[at.image].channel[at.c];
  if (p.gamma == 1) return;
  pass.planes[i] = gamma_tone(pass.planes[i], tone_of(p, scale_of(pass.batch, at.image, at.c)));
}

__global__ void linear_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const Place at(pass.batch, i);
  const ChannelParams& p = pass.batch.params[at.image].channel[at.c];
  if (!is_toned(p)) return;
  pass.planes[i] = linear_tone(pass.planes[i], tone_of(p, scale_of(pass.batch, at.image, at.c)));
}

__global__ void gaussian_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const Place at(pass.batch, i);
  const AugmentParams& p = pass.batch.params[at.image];
  if (p.channel[at.c].gaussian <= 0) return;
  const float a = scale_of(pass.batch, at.image, at.c).a;
  pass.planes[i] = Noise(pass.batch, p, at.y, at.x).with_gaussian(at.c, a, pass.planes[i]);
}

// Cutout, dropped sequences, mask, normalization, cast: a thread for each value of the output.
template <class T>
__global__ void finish_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const AugmentBatch& b = pass.batch;
  const auto [image, y, x, c, pixel] = OutputPlace(b, i);
  const AugmentParams& p = b.params[image];
  const bool inside = pass.inside[pixel] != 0;
  float v = 0;
  if (c < b.input.sequence_count) {
    v = network_value(pass.planes[value_index(b, image, c, y, x)], scale_of(b, image, c),
                      p.channel[c].dropped != 0 || is_cut(p, y, x), inside, b.input.mask);
  } else if (c == b.input.sequence_count && b.input.mask == MaskUse::channel) {
    v = inside ? 1.0f : 0.0f;
  }
  store_value(static_cast<T*>(b.out) + i, v);
  if (c == 0 && b.masks != nullptr) b.masks[pixel] = inside ? 1 : 0;
}

void run_filters(Queue queue, const AugmentPass& pass) {
  if (!pass.batch.filters) return;
  const int64_t values = augment_values(pass.batch);
  const double plane = 8.0 * static_cast<double>(values);
  launch_values("ladder_blur_rows", queue, blur_kernel<Axis::rows>, pass, values, plane);
  launch_values("ladder_blur_columns", queue, blur_kernel<Axis::columns>, pass, values, plane);
  launch_values("ladder_low_resolution_rows", queue, low_resolution_kernel<Axis::rows>, pass,
                values, plane);
  launch_values("ladder_low_resolution_columns", queue, low_resolution_kernel<Axis::columns>, pass,
                values, plane);
}

void launch_a_transform(Queue queue, const AugmentPass& pass) {
  const int64_t values = augment_values(pass.batch), pixels = pixels_of(pass.batch);
  const double plane = 8.0 * static_cast<double>(values);
  launch_values("ladder_sample", queue, sample_kernel, pass, values,
                5.0 * static_cast<double>(values));
  launch_values("ladder_mask", queue, mask_kernel, pass, pixels, 2.0 * static_cast<double>(pixels));
  launch_values("ladder_bias", queue, bias_kernel, pass, values, plane);
  run_filters(queue, pass);
  launch_values("ladder_rician", queue, rician_kernel, pass, values, plane);
  launch_values("ladder_gamma", queue, gamma_kernel, pass, values, plane);
  launch_values("ladder_linear", queue, linear_kernel, pass, values, plane);
  launch_values("ladder_gaussian", queue, gaussian_kernel, pass, values, plane);
  with_float_type(pass.batch.dtype, [&](auto t) {
    using T = decltype(t);
    const int64_t n = pixels * pass.batch.channels;
    launch_values("ladder_finish", queue, finish_kernel<T>, pass, n,
                  plane / 2 + static_cast<double>(n) * sizeof(T));
  });
}

// ---- 2: fused, a thread a value ---------------------------------------------------------------
// All that looks at one value alone happens in registers, in one launch, down to the value's place
// in the output. Planes remain where a filter needs neighbors, and for filtered sequences alone.
//
// Expected  light, 0.05 ms, half of the rung above: one launch, and the planes are gone; the map is
//           still made for each of four channels, and the 42 MB hide behind it.
//           full, 0.55 ms: 6 launches for 12 and less memory save 0.1; but the knots are made as
//           often as before, for filtered sequences (36 %) even once more, for the mask's sake.
//           Fusing saves bytes, and bytes are not what this waits for.
// Brought   not measured yet.
__global__ void planes_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const AugmentBatch& b = pass.batch;
  const Place at(b, i);
  const AugmentParams& p = b.params[at.image];
  if (!is_filtered(p.channel[at.c])) return;
  const FreshKnots knots{b.key, p};
  const float v = sampled(b, at.image, at.c, source_of(b, p, knots, at.y, at.x));
  pass.planes[i] = biased(b, p, knots, at.c, at.y, at.x, v);
}

template <class T>
__global__ void values_kernel(AugmentPass pass, uint32_t n) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const AugmentBatch& b = pass.batch;
  const auto [image, y, x, c, pixel] = OutputPlace(b, i);
  const AugmentParams& p = b.params[image];
  const bool is_sequence = c < b.input.sequence_count;
  const bool is_mask = c == b.input.sequence_count && b.input.mask == MaskUse::channel;
  const bool makes_mask = c == 0 && b.masks != nullptr;
  float v = 0;
  if (is_sequence || is_mask || makes_mask) {
    const FreshKnots knots{b.key, p};
    const Source s = source_of(b, p, knots, y, x);
    const bool inside = is_inside(b, p, image, s);
    if (is_sequence) {
      const bool dropped = p.channel[c].dropped != 0;
      float raw = is_filtered(p.channel[c]) ? pass.planes[value_index(b, image, c, y, x)]
                                            : biased(b, p, knots, c, y, x, sampled(b, image, c, s));
      if (!dropped) raw = toned(b, p, image, c, y, x, raw);
      v = network_value(raw, scale_of(b, image, c), dropped || is_cut(p, y, x), inside,
                        b.input.mask);
    }
    if (is_mask) v = inside ? 1.0f : 0.0f;
    if (makes_mask) b.masks[pixel] = inside ? 1 : 0;
  }
  store_value(static_cast<T*>(b.out) + i, v);
}

void thread_a_value(Queue queue, const AugmentPass& pass) {
  const int64_t values = augment_values(pass.batch), pixels = pixels_of(pass.batch);
  if (pass.batch.filters) {
    launch_values("ladder_planes", queue, planes_kernel, pass, values,
                  5.0 * static_cast<double>(values));
    run_filters(queue, pass);
  }
  with_float_type(pass.batch.dtype, [&](auto t) {
    using T = decltype(t);
    const int64_t n = pixels * pass.batch.channels;
    launch_values("ladder_values", queue, values_kernel<T>, pass, n,
                  static_cast<double>(values + pixels) + static_cast<double>(n) * sizeof(T));
  });
}

// ---- 3: a thread a pixel ----------------------------------------------------------------------
// The map is the same for all channels of a pixel, so one thread makes them all, and stores them in
// one access of 16 bytes. The knots are the same for all pixels of an image, so a block makes them
// once and keeps them in shared memory.
//
// Expected  light, 0.025 ms, half of the rung above: the map once a pixel, 200 * 2.1e6, and 60
//           instructions a value, 0.024 together; the bytes take 0.014 beside it.
//           full, 0.17 ms, a third of the rung above: the knots of an image are 196 displacements
//           and 75 of bias, one for each thread of a block, and 16 reads of shared memory replace
//           16 times 110 instructions. Map 0.03, bias and noise 0.04, and 0.1 for the filters as
//           before and their launches: now the filters are what is left.
// Brought   not measured yet.
struct SharedKnots {
  const float *y, *x, *of_bias;
  __device__ float elastic_y(int i) const { return y[i]; }
  __device__ float elastic_x(int i) const { return x[i]; }
  __device__ float bias(int c, int i) const { return of_bias[c * kBiasKnots + i]; }
};

// All threads of a block that serves one image. memory: knots_bytes().
__device__ SharedKnots shared_knots(const AugmentBatch& b, const AugmentParams& p, float* memory) {
  const InputSpec& input = b.input;
  float* y = memory;
  float* x = y + b.most_knots;
  float* bias = x + b.most_knots;
  if (p.elastic > 0) {
    const int count = spline_knots(input.height, p.elastic_spacing) *
                      spline_knots(input.width, p.elastic_spacing);
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
      const Displacement d = elastic_knot(b.key, p, i);
      y[i] = d.y;
      x[i] = d.x;
    }
  }
  const int each = spline_knots(input.height, bias_spacing(input.height)) *
                   spline_knots(input.width, bias_spacing(input.width));
  for (int i = static_cast<int>(threadIdx.x); i < each * input.sequence_count; i += kThreads) {
    const int c = i / each;
    if (p.channel[c].bias != 0) bias[c * kBiasKnots + i % each] = bias_knot(b.key, p, c, i % each);
  }
  __syncthreads();
  return {y, x, bias};
}
size_t knots_bytes(const AugmentBatch& b) {
  return sizeof(float) *
         static_cast<size_t>(2 * b.most_knots + int64_t{kBiasKnots} * b.input.sequence_count);
}

__global__ void __launch_bounds__(kThreads) pixel_planes_kernel(AugmentPass pass) {
  GG_DYNAMIC_SHARED(float, memory);
  const AugmentBatch& b = pass.batch;
  const int image = static_cast<int>(blockIdx.y);
  const AugmentParams& p = b.params[image];
  bool any = false;
  for (int c = 0; c < b.input.sequence_count; ++c) any = any || is_filtered(p.channel[c]);
  if (!any) return;  // the whole block
  const SharedKnots knots = shared_knots(b, p, memory);
  const int pixel = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (pixel >= b.input.height * b.input.width) return;
  const int y = pixel / b.input.width, x = pixel % b.input.width;
  const Source s = source_of(b, p, knots, y, x);
  for (int c = 0; c < b.input.sequence_count; ++c) {
    if (!is_filtered(p.channel[c])) continue;
    pass.planes[value_index(b, image, c, y, x)] =
        biased(b, p, knots, c, y, x, sampled(b, image, c, s));
  }
}

// v[at] = value by choosing: an array with an index that only the running program knows would lie
// in local memory.
__device__ __forceinline__ void put(float (&v)[kMaxSequences + 1], int at, float value) {
  GG_UNROLL
  for (int c = 0; c <= kMaxSequences; ++c) v[c] = c == at ? value : v[c];
}

template <class T>
__device__ void store_pixel(const AugmentBatch& b, int64_t pixel,
                            const float (&v)[kMaxSequences + 1]) {
  T* to = static_cast<T*>(b.out) + pixel * b.channels;
  if (b.channels == 8) {
    float all[8];
    GG_UNROLL
    for (int c = 0; c < 8; ++c) all[c] = v[c];
    store_pack(to, all);
  } else {
    GG_UNROLL
    for (int c = 0; c <= kMaxSequences; ++c) {
      if (c < b.channels) store_value(to + c, v[c]);
    }
    for (int64_t c = kMaxSequences + 1; c < b.channels; ++c) store_value(to + c, 0.0f);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) pixels_kernel(AugmentPass pass) {
  GG_DYNAMIC_SHARED(float, memory);
  const AugmentBatch& b = pass.batch;
  const InputSpec& input = b.input;
  const int image = static_cast<int>(blockIdx.y);
  const AugmentParams& p = b.params[image];
  const SharedKnots knots = shared_knots(b, p, memory);
  const int pixel = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (pixel >= input.height * input.width) return;
  const int y = pixel / input.width, x = pixel % input.width;
  const Source s = source_of(b, p, knots, y, x);
  const bool inside = is_inside(b, p, image, s), cut = is_cut(p, y, x);
  float v[kMaxSequences + 1] = {};
  for (int c = 0; c < input.sequence_count; ++c) {
    const bool dropped = p.channel[c].dropped != 0;
    float raw = is_filtered(p.channel[c]) ? pass.planes[value_index(b, image, c, y, x)]
                                          : biased(b, p, knots, c, y, x, sampled(b, image, c, s));
    if (!dropped) raw = toned(b, p, image, c, y, x, raw);
    put(v, c, network_value(raw, scale_of(b, image, c), dropped || cut, inside, input.mask));
  }
  if (input.mask == MaskUse::channel) put(v, input.sequence_count, inside ? 1.0f : 0.0f);
  const int64_t at = static_cast<int64_t>(image) * input.height * input.width + pixel;
  store_pixel<T>(b, at, v);
  if (b.masks != nullptr) b.masks[at] = inside ? 1 : 0;
}

void thread_a_pixel(Queue queue, const AugmentPass& pass) {
  const AugmentBatch& b = pass.batch;
  const int pixels = b.input.height * b.input.width;
  const auto values = static_cast<double>(augment_values(b));
  const auto launch_pixels = [&](const char* name, auto kernel, double bytes) {
    launch({.name = name,
            .grid = dim3(static_cast<unsigned>((pixels + kThreads - 1) / kThreads),
                         static_cast<unsigned>(b.images)),
            .block = kThreads,
            .shared_bytes = knots_bytes(b),
            .cost = {.bytes = bytes}},
           queue, kernel, pass);
  };
  if (b.filters) {
    launch_pixels("ladder_pixel_planes", pixel_planes_kernel, 5 * values);
    run_filters(queue, pass);
  }
  with_float_type(b.dtype, [&](auto t) {
    using T = decltype(t);
    const auto n = static_cast<double>(pixels_of(b));
    launch_pixels("ladder_pixels", pixels_kernel<T>,
                  values + n + n * static_cast<double>(b.channels) * sizeof(T));
  });
}

// ---- 4: the shipped kernel --------------------------------------------------------------------
// kernels/gpu/augment.cu: one launch. A block makes a few rows of an image, up to eight pixels a
// thread, so that knots and parameters serve eight of them; what is filtered lies in shared memory,
// with as many rows above and below as the filters reach.
//
// Expected  light, 0.02 ms: knots and parameters once for eight pixels, the map as above.
//           full, 0.3 ms, worse than the rung above: at 256 pixels a block makes 8 rows, and of a
//           filtered sequence up to 16 more that its neighbors make too. Its planes have room for
//           24 more on either side, 139 KB, so one block of 8 warps is all that a multiprocessor
//           holds, too few to hide what they wait for: the work of the rung above without launches
//           and planes, 0.15 ms, at half the rate. At the 80 pixels that it was made for it has 26
//           rows a block and 72 KB, three blocks; there it should win. If a GPU shows the same, the
//           filters want planes in memory beyond some width.
// Brought   not measured yet at this size. At 32 images of 80 x 80, light, on an H200, parameters,
//           images and labels took 0.051 ms in three launches, of which the parameters 0.017
//           (bench/results/gpu-nvidia-h200-2026-11-27.json, "profile").
void shipped(Queue queue, const AugmentPass& pass) { augment_images(queue, pass.batch); }

constexpr AugmentRung kRungs[] = {{"launch_a_transform", launch_a_transform, 0.12, 0.65},
                                  {"thread_a_value", thread_a_value, 0.05, 0.55},
                                  {"thread_a_pixel", thread_a_pixel, 0.025, 0.17},
                                  {"shipped", shipped, 0.02, 0.3}};

}  // namespace

std::span<const AugmentRung> augment_rungs() { return kRungs; }

}  // namespace gliograd::ladder
