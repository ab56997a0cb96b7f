// What CPU and GPU must compute alike to the bit: drawn parameters, the inverse map and its taps,
// smooth fields, filter weights, noise. One function, run on both, compared. A plain program: exit
// 0 equal, 1 different, 77 without a GPU.
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/augment_pixel.hpp"

using namespace gliograd::kernels;

namespace {

constexpr int kDraws = 4096, kValues = 64;

__host__ __device__ AugmentOptions everything() {
  AugmentOptions o;
  o.flip_y_probability = o.flip_x_probability = o.quarter_turn_probability = 0.5f;
  o.rotation_probability = o.scale_probability = o.stretch_probability = 0.9f;
  o.shear_probability = o.translation_probability = o.elastic_probability = 0.9f;
  o.brightness_probability = o.contrast_probability = o.gamma_probability = 0.9f;
  o.bias_probability = o.rician_probability = o.noise_probability = 0.9f;
  o.blur_probability = o.low_resolution_probability = o.cutout_probability = 0.9f;
  o.drop_probability = 0.3f;
  o.rotation_degrees = 180, o.scale_percent = 30, o.stretch_percent = 20, o.shear_degrees = 15;
  o.translation_pixels = 5, o.elastic_pixels = 6, o.elastic_spacing_pixels = 9;
  o.brightness_percent = 40, o.contrast_percent = 50, o.gamma_percent = 50, o.bias_percent = 40;
  o.rician_percent = 30, o.noise_percent = 30, o.blur_pixels = 2, o.low_resolution_factor = 3;
  o.cutout_percent = 30;
  return o;
}

struct Writer {
  float* out;
  int n = 0;
  __host__ __device__ void operator()(float value) { out[n++] = value; }
};

// kValues numbers of one draw; integers as floats, which hold them exactly.
__host__ __device__ void probe(int draw, float* out) {
  const PhiloxKey key{{2020, 7 << 3}};
  InputSpec input;
  input.sequence_count = 3;
  input.height = 80;
  input.width = 64;
  const AugmentParams p = draw_augment(key, 5, static_cast<uint32_t>(draw), everything(), input);
  Writer write{out};
  for (int i = 0; i < kValues; ++i) out[i] = 0;
  write(static_cast<float>(p.flip_y + 2 * p.flip_x + 4 * p.quarter_turns));
  for (const float v : {p.rotation, p.scale, p.stretch, p.shear, p.shift_y, p.shift_x, p.elastic}) {
    write(v);
  }
  for (const int32_t v : p.cutout) write(static_cast<float>(v));
  const ChannelParams& c = p.channel[draw % 3];
  for (const float v : {c.brightness, c.contrast, c.gamma, c.bias, c.rician, c.gaussian, c.blur,
                        c.low_resolution, static_cast<float>(c.dropped)}) {
    write(v);
  }
  const InverseMap m = inverse_map(p, 128, 128, input.height, input.width);
  const Displacement d = elastic_knot(key, p, draw % 40);
  const float dy = static_cast<float>(draw % 80) - m.out_center_y + d.y;
  const float dx = static_cast<float>(draw % 64) - m.out_center_x + d.x;
  const float sy = source_y(m, dy, dx), sx = source_x(m, dy, dx);
  write(sy);
  write(sx);
  const AxisTaps taps = axis_taps(sy, 128, Fill::zero);
  write(static_cast<float>(taps.low));
  write(static_cast<float>(taps.high));
  write(bilinear(3, 250, 17, 99, taps.low_weight, taps.high_weight, 0.25f, 0.75f));
  write(static_cast<float>(nearest_pixel(sx, 128, Fill::zero)));
  const SplineTaps spline = spline_taps(draw % 80, p.elastic_spacing);
  for (const float w : spline.weight) write(w);
  write(bias_knot(key, p, draw % 3, draw % 25));
  const Tone tone = tone_of(c, {0.02f, -1.7f});
  write(linear_tone(gamma_tone(static_cast<float>(draw % 256), tone), tone));
  const int radius = blur_radius(c.blur);
  float half[kBandRadius + 1];
  gaussian_weights(c.blur, radius, half);
  write(blur_weight(half, radius, 80, draw % 80, draw % (2 * radius + 1) - radius));
  write(
      low_resolution_weight(low_resolution_of(c.low_resolution, 80), 80, draw % 80, draw % 5 - 2));
  const NormalBlock noise = normal(noise_block(key, 5, p.draw, kGaussianLayer, 17));
  for (const float v : noise.value) write(v);
  write(rician(static_cast<float>(draw % 256), 9.5f, {noise.value[0], noise.value[1]}));
  write(network_value(static_cast<float>(draw % 256), {0.02f, -1.7f}, draw % 2 != 0, draw % 3 != 0,
                      static_cast<MaskUse>(draw % 4)));
}

__global__ void probe_all(float* out) {
  const int draw = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (draw < kDraws) probe(draw, out + draw * kValues);
}

bool ok(cudaError_t status, const char* what) {
  if (status != cudaSuccess) std::printf("%s: %s\n", what, cudaGetErrorString(status));
  return status == cudaSuccess;
}

}  // namespace

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("SKIPPED: augment bits: no GPU\n");
    return 77;
  }
  std::vector<float> host(kDraws * kValues), device(kDraws * kValues);
  for (int draw = 0; draw < kDraws; ++draw) probe(draw, host.data() + draw * kValues);
  float* memory = nullptr;
  const size_t bytes = device.size() * sizeof(float);
  if (!ok(cudaMalloc(&memory, bytes), "cudaMalloc")) return 1;
  probe_all<<<kDraws / 128, 128>>>(memory);
  const bool copied = ok(cudaGetLastError(), "probe_all") &&
                      ok(cudaMemcpy(device.data(), memory, bytes, cudaMemcpyDeviceToHost), "copy");
  if (!ok(cudaFree(memory), "cudaFree") || !copied) return 1;
  int different = 0;
  for (size_t i = 0; i < host.size(); ++i) {
    if (std::memcmp(&host[i], &device[i], sizeof(float)) == 0) continue;
    if (++different <= 10) {
      std::printf("draw %zu, value %zu: CPU %.9g, GPU %.9g\n", i / kValues, i % kValues, host[i],
                  device[i]);
    }
  }
  std::printf("%d of %zu values differ\n", different, host.size());
  return different == 0 ? 0 : 1;
}
