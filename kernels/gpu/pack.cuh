// Sixteen bytes at a time: how kernels that walk memory in order read and write it. Values are
// computed in f32, whatever is stored.
#pragma once
#include <cuda_runtime_api.h>

#include <type_traits>

#include "kernels/base.hpp"
#include "kernels/half.hpp"
#include "kernels/portable_math.hpp"

namespace gliograd::kernels {

GG_HD_INLINE float load_value(const float* p) { return *p; }
GG_HD_INLINE float load_value(const bf16* p) { return to_float(*p); }
GG_HD_INLINE float load_value(const f16* p) { return to_float(*p); }
GG_HD_INLINE void store_value(float* p, float v) { *p = v; }
GG_HD_INLINE void store_value(bf16* p, float v) { *p = to_bf16(v); }
GG_HD_INLINE void store_value(f16* p, float v) { *p = to_f16(v); }

/// Elements of T in 16 bytes.
template <class T>
constexpr int kPack = 16 / static_cast<int>(sizeof(T));

/// kCount neighbors, from an address aligned to the smaller of 16 bytes and their own size: one
/// access for each 16 bytes. kCount is a power of two, or 1 for kernels that serve any width.
template <int kCount, class T>
__device__ __forceinline__ void load_pack(float (&v)[kCount], const T* p) {
  static_assert((kCount & (kCount - 1)) == 0);
  if constexpr (kCount == 1) {
    v[0] = load_value(p);
  } else if constexpr (kCount >= kPack<T>) {
    GG_UNROLL
    for (int part = 0; part < kCount; part += kPack<T>) {
      const uint4 bits = *reinterpret_cast<const uint4*>(p + part);
      const T* values = reinterpret_cast<const T*>(&bits);
      GG_UNROLL
      for (int i = 0; i < kPack<T>; ++i) v[part + i] = load_value(values + i);
    }
  } else {  // f16 and bf16 beside f32: 8 bytes
    static_assert(sizeof(T) * kCount == 8);
    const uint2 bits = *reinterpret_cast<const uint2*>(p);
    const T* values = reinterpret_cast<const T*>(&bits);
    GG_UNROLL
    for (int i = 0; i < kCount; ++i) v[i] = load_value(values + i);
  }
}

template <int kCount, class T>
__device__ __forceinline__ void store_pack(T* p, const float (&v)[kCount]) {
  static_assert((kCount & (kCount - 1)) == 0);
  if constexpr (kCount == 1) {
    store_value(p, v[0]);
  } else if constexpr (kCount >= kPack<T>) {
    GG_UNROLL
    for (int part = 0; part < kCount; part += kPack<T>) {
      uint4 bits;
      T* values = reinterpret_cast<T*>(&bits);
      GG_UNROLL
      for (int i = 0; i < kPack<T>; ++i) store_value(values + i, v[part + i]);
      *reinterpret_cast<uint4*>(p + part) = bits;
    }
  } else {
    static_assert(sizeof(T) * kCount == 8);
    uint2 bits;
    T* values = reinterpret_cast<T*>(&bits);
    GG_UNROLL
    for (int i = 0; i < kCount; ++i) store_value(values + i, v[i]);
    *reinterpret_cast<uint2*>(p) = bits;
  }
}

/// Bytes beside such values, 8 in one access, or one: which tap won, whether an element was kept.
template <int kCount>
__device__ __forceinline__ void load_bytes(uint8_t (&v)[kCount], const uint8_t* p) {
  if constexpr (kCount == 1) {
    v[0] = *p;
  } else {
    static_assert(kCount == 8);
    const uint2 bits = *reinterpret_cast<const uint2*>(p);
    GG_UNROLL
    for (int i = 0; i < 4; ++i) {
      v[i] = static_cast<uint8_t>(bits.x >> (8 * i));
      v[i + 4] = static_cast<uint8_t>(bits.y >> (8 * i));
    }
  }
}

template <int kCount>
__device__ __forceinline__ void store_bytes(uint8_t* p, const uint8_t (&v)[kCount]) {
  if constexpr (kCount == 1) {
    *p = v[0];
  } else {
    static_assert(kCount == 8);
    uint2 bits{0, 0};
    GG_UNROLL
    for (int i = 0; i < 4; ++i) {
      bits.x |= static_cast<uint32_t>(v[i]) << (8 * i);
      bits.y |= static_cast<uint32_t>(v[i + 4]) << (8 * i);
    }
    *reinterpret_cast<uint2*>(p) = bits;
  }
}

/// Calls body(begin, whole) for the packs of kCount elements that this thread serves of n, a grid's
/// width apart; whole says whether all kCount are there.
template <int kCount, class Body>
__device__ __forceinline__ void for_each_pack(int64_t n, const Body& body) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x * kCount;
  for (int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kCount; i < n;
       i += step) {
    body(i, i + kCount <= n);
  }
}

constexpr int kPackThreads = 256;

/// Blocks for for_each_pack: all packs at once, up to a few waves of the largest GPUs.
inline unsigned blocks_of_packs(int64_t n, int count) {
  const int64_t per_block = static_cast<int64_t>(kPackThreads) * count;
  const int64_t blocks = (n + per_block - 1) / per_block;
  constexpr int64_t kMost = 4096;
  return static_cast<unsigned>(blocks < kMost ? (blocks > 0 ? blocks : 1) : kMost);
}

/// Calls body with a value of the element type. Errors: DeviceError for other types than f32, bf16
/// and f16.
template <class Body>
void with_float_type(DType type, const Body& body) {
  switch (type) {
    case DType::f32: body(float{}); return;
    case DType::bf16: body(bf16{}); return;
    case DType::f16: body(f16{}); return;
    default: throw DeviceError("a kernel computes in f32, bf16 or f16");
  }
}

/// Channels a thread: 8, or one where 8 do not divide C.
inline int channel_width(int64_t channels) { return channels % 8 == 0 ? 8 : 1; }

/// with_float_type() with that width in front: body(width, type), the width as an
/// integral_constant.
template <class Body>
void with_pack(int width, DType type, const Body& body) {
  with_float_type(type, [&](auto t) {
    if (width == 8) {
      body(std::integral_constant<int, 8>{}, t);
    } else {
      body(std::integral_constant<int, 1>{}, t);
    }
  });
}

}  // namespace gliograd::kernels
