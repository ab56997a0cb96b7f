// Element types of tensors: their sizes, names and C++ types. The enum stands in kernels/base.hpp.
#pragma once
#include <cstdint>
#include <ostream>

#include "kernels/base.hpp"

namespace gliograd {

/// Bytes of one element.
int64_t size_of(DType dtype);
/// "f32"
const char* name_of(DType dtype);
/// Whether it is one of the four floating types.
constexpr bool is_float(DType dtype) { return dtype <= DType::f16; }
inline std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name_of(dtype); }

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<f16> {
  static constexpr DType value = DType::f16;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};

template <class T>
constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace gliograd
