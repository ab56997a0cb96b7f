// exp, log, pow, sine and cosine, and normal numbers in f32, with the same bits on CPU and GPU:
// only +, -, *, / and square root (all correctly rounded on both), integer steps, and polynomials
// of our own (minimax, fitted in f64 by weighted least squares; no libm, contraction off). They
// hold no branch, so that loops over them are vectorized. The errors named below are the largest
// that tests/kernels/portable_math_test.cpp finds against libm in f64.
#pragma once
#include <cstdint>

#include "kernels/philox.hpp"
#include "kernels/portable.hpp"

// Functions that a vectorized row loop must not call out of line.
#ifdef __CUDACC__
#define GG_HD_INLINE __host__ __device__ __forceinline__
#else
#define GG_HD_INLINE inline __attribute__((always_inline))
#endif

namespace gliograd::kernels {

GG_HD_INLINE float float_of_bits(uint32_t bits) { return __builtin_bit_cast(float, bits); }
GG_HD_INLINE uint32_t bits_of_float(float x) { return __builtin_bit_cast(uint32_t, x); }

GG_HD_INLINE float square_root(float x) {
#ifdef __CUDA_ARCH__
  return __fsqrt_rn(x);
#else
  return __builtin_sqrtf(x);
#endif
}

/// The greatest integer not above x; |x| < 2^31.
GG_HD_INLINE int32_t floor_to_int(float x) {
  const int32_t toward_zero = static_cast<int32_t>(x);
  return toward_zero - static_cast<int32_t>(x < static_cast<float>(toward_zero));
}

/// Nearest integer as a float, ties to even; |x| < 2^22.
GG_HD_INLINE float round_to_even(float x) { return (x + 12582912.0f) - 12582912.0f; }

/// e^x for |x| <= 80 (beyond, that of the nearer end). Relative error below 1.2e-7.
GG_HD_INLINE float portable_exp(float x) {
  const float bounded = x < -80.0f ? -80.0f : (x > 80.0f ? 80.0f : x);
  const float k = round_to_even(bounded * 1.44269504f);
  // ln 2 in two parts; the first has few enough bits that k times it is exact.
  const float r = (bounded - k * 0.693359375f) - k * -2.12194440e-4f;
  float p = 1.3950599e-3f;
  p = p * r + 8.3689532e-3f;
  p = p * r + 4.1666199e-2f;
  p = p * r + 1.6666518e-1f;
  p = p * r + 5.0000001e-1f;
  const float y = (p * (r * r) + r) + 1.0f;
  return y * float_of_bits(static_cast<uint32_t>(static_cast<int32_t>(k) + 127) << 23);
}

/// Natural logarithm of a positive normal number. Relative error below 1.4e-7, also near 1.
GG_HD_INLINE float portable_log(float x) {
  const uint32_t bits = bits_of_float(x);
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2)), so that e is 0 on both sides of 1.
  const int32_t e = static_cast<int32_t>(bits - 0x3f3504f3u) >> 23;
  const float f = float_of_bits(bits - (static_cast<uint32_t>(e) << 23)) - 1.0f;
  float q = -0.0763432077f;
  q = q * f + 0.1276540101f;
  q = q * f - 0.131620169f;
  q = q * f + 0.1420137316f;
  q = q * f - 0.1662314359f;
  q = q * f + 0.2000123566f;
  q = q * f - 0.2500082679f;
  q = q * f + 0.3333333168f;
  const float k = static_cast<float>(e), f2 = f * f;
  return k * 0.693359375f + ((f + (f2 * (f * q) + k * -2.12194440e-4f)) - 0.5f * f2);
}

/// x^y for x >= 0 and |y ln x| <= 80; 0 for x below 1e-30. Relative error below
/// 1.5e-7 * (1 + |y ln x|).
GG_HD_INLINE float portable_pow(float x, float y) {
  const float positive = x < 1e-30f ? 1e-30f : x;
  const float power = portable_exp(y * portable_log(positive));
  return x < 1e-30f ? 0.0f : power;
}

struct SineCosine {
  float sine, cosine;
};

/// Sine and cosine of `turns` whole turns (1 is 360 degrees), |turns| < 2^20. Absolute error below
/// 1.2e-7 (of the angle as given in f32); exact at multiples of a quarter turn.
GG_HD_INLINE SineCosine portable_sincos(float turns) {
  const float quarters = round_to_even(turns * 4.0f);
  const float r = turns - quarters * 0.25f;  // in [-1/8, 1/8], exact
  const float t = r * r;
  float s = -75.3922523265f;
  s = s * t + 81.5923276841f;
  s = s * t - 41.3416613317f;
  s = s * t + 6.2831852868f;
  s = s * r;
  float c = 59.2449708146f;
  c = c * t - 85.4437156249f;
  c = c * t + 64.9393262689f;
  c = c * t - 19.7392086932f;
  c = c * t + 1.0f;
  const int32_t quarter = static_cast<int32_t>(quarters);
  const bool swapped = (quarter & 1) != 0;
  const float sine = swapped ? c : s, cosine = swapped ? s : c;
  return {(quarter & 2) != 0 ? -sine : sine, ((quarter + 1) & 2) != 0 ? -cosine : cosine};
}

struct NormalPair {
  float first, second;
};

/// Two independent standard normal numbers from two random words (Box and Muller 1958). Their
/// magnitude is at most 5.77.
GG_HD_INLINE NormalPair normal_pair(uint32_t word0, uint32_t word1) {
  const float radius = square_root(-2.0f * portable_log(uniform(word0)));
  const SineCosine angle = portable_sincos(uniform(word1));
  return {radius * angle.cosine, radius * angle.sine};
}

struct NormalBlock {
  float value[4];
};

/// Four standard normal numbers from one block of random words.
GG_HD_INLINE NormalBlock normal(const PhiloxBlock& block) {
  const NormalPair a = normal_pair(block.word[0], block.word[1]);
  const NormalPair b = normal_pair(block.word[2], block.word[3]);
  return {{a.first, a.second, b.first, b.second}};
}

/// The standard normal number of one place: position p takes number p % 4 of the block at p / 4, so
/// a loop over positions may draw four at a time.
GG_HD inline float normal_at(PhiloxKey key, RandomPlace at) {
  const uint64_t lane = at.position & 3;
  at.position >>= 2;
  return normal(philox(key, counter_of(at))).value[lane];
}

}  // namespace gliograd::kernels
