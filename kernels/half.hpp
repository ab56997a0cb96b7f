// f32 to and from the 16-bit types, alike on both devices.
#pragma once
#include <cstdint>

#include "kernels/base.hpp"
#include "kernels/portable.hpp"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace gliograd {

/// To 16 bits: the nearest value, ties to even, subnormals too; beyond the largest, infinity; NaN
/// stays NaN (which one is not fixed).
GG_HD inline float to_float(bf16 x) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16);
}

GG_HD inline bf16 to_bf16(float x) {
#ifdef __CUDA_ARCH__
  return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
#else
  const auto bits = __builtin_bit_cast(uint32_t, x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
#endif
}

GG_HD inline float to_float(f16 x) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(x.bits));
#else
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000u) << 16;
  const uint32_t exponent = (x.bits >> 10) & 0x1fu, fraction = x.bits & 0x3ffu;
  if (exponent == 31) return __builtin_bit_cast(float, sign | 0x7f800000u | fraction << 13);
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  return __builtin_bit_cast(float, sign | (exponent + 112) << 23 | fraction << 13);
#endif
}

GG_HD inline f16 to_f16(float x) {
#ifdef __CUDA_ARCH__
  return {__half_as_ushort(__float2half_rn(x))};
#else
  const auto bits = __builtin_bit_cast(uint32_t, x);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // past 65504
  if (magnitude < 0x38800000u) {  // below 2^-14: subnormal, in units of 2^-24
    const float units = __builtin_bit_cast(float, magnitude) * 0x1p24f;
    const float whole = (units + 0x1.8p23f) - 0x1.8p23f;  // to the nearest, ties to even
    return {static_cast<uint16_t>(sign | static_cast<uint16_t>(whole))};
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<uint16_t>(sign | ((rounded >> 13) - (112u << 10)))};
#endif
}

}  // namespace gliograd
