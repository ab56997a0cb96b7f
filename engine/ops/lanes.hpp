// Sixteen f32 values side by side, as the CPU paths of channel-wise ops use them: one AVX-512
// register, two of AVX2, four of SSE, chosen by the clone of the GG_MULTIVERSION function into
// which all of this is inlined. Only sources of ops include this.
#pragma once
#include <cstdint>
#include <cstring>

namespace gliograd::lanes {

constexpr int64_t kLanes = 16;

using F16 = float __attribute__((vector_size(64)));
using I16 = int32_t __attribute__((vector_size(64)));
using B16 = uint8_t __attribute__((vector_size(16)));
using UnalignedF16 = float __attribute__((vector_size(64), aligned(4), may_alias));
using UnalignedB16 = uint8_t __attribute__((vector_size(16), aligned(1), may_alias));

#define GG_INLINE __attribute__((always_inline)) inline

// Vectors go in and out by reference: by value their ABI would depend on the instruction set.
GG_INLINE void load(F16& v, const float* p) { v = *reinterpret_cast<const UnalignedF16*>(p); }
GG_INLINE void store(float* p, const F16& v) { *reinterpret_cast<UnalignedF16*>(p) = v; }
GG_INLINE void load(B16& v, const uint8_t* p) { v = *reinterpret_cast<const UnalignedB16*>(p); }
GG_INLINE void store(uint8_t* p, const B16& v) { *reinterpret_cast<UnalignedB16*>(p) = v; }

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

GG_INLINE void fill(F16& v, float value) {
  v = F16{value, value, value, value, value, value, value, value,
          value, value, value, value, value, value, value, value};
}

}  // namespace gliograd::lanes
