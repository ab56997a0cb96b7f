// Sixteen values side by side, as the CPU paths of channel-wise ops use them. Two halves of 32
// bytes, because g++ 12 takes comparisons of vectors wider than the instruction set's apart into
// scalars: each half is one register of AVX2 and AVX-512, chosen by the clone of the
// GG_MULTIVERSION function into which all of this is inlined.
#pragma once
#include <cstdint>

#include "kernels/base.hpp"

namespace gliograd::lanes {

constexpr int64_t kLanes = 16;

#define GG_INLINE __attribute__((always_inline)) inline

using F32x8 = float __attribute__((vector_size(32)));
using I32x8 = int32_t __attribute__((vector_size(32)));
using UnalignedF32x8 = float __attribute__((vector_size(32), aligned(4), may_alias));

struct F32x16 {
  F32x8 lo, hi;
};
struct I32x16 {
  I32x8 lo, hi;
};

GG_INLINE F32x16 operator+(const F32x16& a, const F32x16& b) { return {a.lo + b.lo, a.hi + b.hi}; }
GG_INLINE F32x16 operator-(const F32x16& a, const F32x16& b) { return {a.lo - b.lo, a.hi - b.hi}; }
GG_INLINE F32x16 operator*(const F32x16& a, const F32x16& b) { return {a.lo * b.lo, a.hi * b.hi}; }
GG_INLINE F32x16 operator*(const F32x16& a, float b) { return {a.lo * b, a.hi * b}; }
GG_INLINE F32x16 operator/(const F32x16& a, float b) { return {a.lo / b, a.hi / b}; }
GG_INLINE void operator+=(F32x16& a, const F32x16& b) { a = a + b; }

GG_INLINE F32x16 all(float v) {
  const F32x8 half = {v, v, v, v, v, v, v, v};
  return {half, half};
}

/// a where sign > 0, else b (also where sign is NaN).
GG_INLINE F32x16 where_positive(const F32x16& sign, const F32x16& a, const F32x16& b) {
  return {sign.lo > 0.0f ? a.lo : b.lo, sign.hi > 0.0f ? a.hi : b.hi};
}
/// a where v < 0, else v (also where v is NaN).
GG_INLINE F32x16 replace_negative(const F32x16& v, const F32x16& a) {
  return {v.lo < 0.0f ? a.lo : v.lo, v.hi < 0.0f ? a.hi : v.hi};
}
/// a where i equals k, else 0.
GG_INLINE F32x16 where_equal(const I32x16& i, int32_t k, const F32x16& a) {
  return {i.lo == k ? a.lo : F32x8{}, i.hi == k ? a.hi : F32x8{}};
}

GG_INLINE void load(F32x16& v, const float* p) {
  v = {*reinterpret_cast<const UnalignedF32x8*>(p),
       *reinterpret_cast<const UnalignedF32x8*>(p + 8)};
}
GG_INLINE void store(float* p, const F32x16& v) {
  *reinterpret_cast<UnalignedF32x8*>(p) = v.lo;
  *reinterpret_cast<UnalignedF32x8*>(p + 8) = v.hi;
}
/// From and to bf16: the nearest, ties to even; a NaN stays one. The bits of kernels/half.hpp.
using U16x8 = uint16_t __attribute__((vector_size(16)));
using U32x8 = uint32_t __attribute__((vector_size(32)));
using UnalignedU16x8 = uint16_t __attribute__((vector_size(16), aligned(2), may_alias));
GG_INLINE void load(F32x8& v, const bf16* p) {
  const U16x8 bits = *reinterpret_cast<const UnalignedU16x8*>(p);
  v = reinterpret_cast<F32x8>(__builtin_convertvector(bits, U32x8) << 16);
}
GG_INLINE void store(bf16* p, const F32x8& v) {
  const U32x8 bits = reinterpret_cast<U32x8>(v);
  const U32x8 nearest = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const U32x8 quiet = (bits >> 16) | 0x40u;
  const U32x8 out = v == v ? nearest : quiet;  // NOLINT(misc-redundant-expression): NaN
  *reinterpret_cast<UnalignedU16x8*>(p) = __builtin_convertvector(out, U16x8);
}
GG_INLINE void load(F32x16& v, const bf16* p) {
  load(v.lo, p);
  load(v.hi, p + 8);
}
GG_INLINE void store(bf16* p, const F32x16& v) {
  store(p, v.lo);
  store(p + 8, v.hi);
}
/// From and to bytes, 0 to 255.
GG_INLINE void load(I32x16& v, const uint8_t* p) {
  for (int i = 0; i < 8; ++i) v.lo[i] = p[i];
  for (int i = 0; i < 8; ++i) v.hi[i] = p[i + 8];
}
GG_INLINE void store(uint8_t* p, const I32x16& v) {
  alignas(32) int32_t wide[kLanes];
  *reinterpret_cast<I32x8*>(wide) = v.lo;
  *reinterpret_cast<I32x8*>(wide + 8) = v.hi;
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<uint8_t>(wide[i]);
}

/// The first `width` lanes from memory, the others zero.
template <class V, class T>
GG_INLINE void load(V& v, const T* p, int64_t width) {
  if (width == kLanes) {
    load(v, p);
    return;
  }
  T padded[kLanes] = {};
  for (int64_t i = 0; i < width; ++i) padded[i] = p[i];
  load(v, padded);
}

/// The first `width` lanes to memory.
template <class V, class T>
GG_INLINE void store(T* p, const V& v, int64_t width) {
  if (width == kLanes) {
    store(p, v);
    return;
  }
  T padded[kLanes];
  store(padded, v);
  for (int64_t i = 0; i < width; ++i) p[i] = padded[i];
}

}  // namespace gliograd::lanes
