// Element-wise ops of one argument: the table. A row is a formula and its derivative, and all paths
// take both from here.
#pragma once
#include <cmath>
#include <tuple>
#include <utility>

#include "kernels/entry.hpp"
#include "kernels/portable_math.hpp"

namespace gliograd::kernels {

// value(x, p), and gradient(dy, y, p) = dy * dy/dx from the output; p is the op's parameter.
namespace elementwise {

struct Relu {
  static constexpr const char* kName = "relu";
  template <class T>
  GG_HD_INLINE static T value(T x, T) {
    return x < T(0) ? T(0) : x;
  }
  template <class T>
  GG_HD_INLINE static T gradient(T dy, T y, T) {
    return y > T(0) ? dy : T(0);
  }
};

struct LeakyRelu {
  static constexpr const char* kName = "leaky_relu";
  template <class T>
  GG_HD_INLINE static T value(T x, T p) {
    return x < T(0) ? p * x : x;
  }
  template <class T>
  GG_HD_INLINE static T gradient(T dy, T y, T p) {
    return y > T(0) ? dy : p * dy;
  }
};

struct Sigmoid {
  static constexpr const char* kName = "sigmoid";
  GG_HD_INLINE static float value(float x, float) { return 1.0f / (1.0f + portable_exp(-x)); }
  static double value(double x, double) { return 1 / (1 + std::exp(-x)); }
  template <class T>
  GG_HD_INLINE static T gradient(T dy, T y, T) {
    return dy * y * (T(1) - y);
  }
};

using Table = std::tuple<Relu, LeakyRelu, Sigmoid>;
constexpr int kRows = std::tuple_size_v<Table>;
using Rows = std::make_integer_sequence<int, kRows>;

template <class Row, int kRow = 0>
constexpr int row_of() {
  if constexpr (std::is_same_v<Row, std::tuple_element_t<kRow, Table>>) {
    return kRow;
  } else {
    return row_of<Row, kRow + 1>();
  }
}

}  // namespace elementwise

/// y[i] = value(x[i], parameter) of a row of the table, for i < n. f32, bf16 or f16, computed in
/// f32; 16-byte aligned; y may be x.
inline const Entry<void(Queue, int row, DType, const void* x, void* y, int64_t n, float parameter)>
    elementwise_values{"elementwise_values"};
/// dx[i] = gradient(dy[i], y[i], parameter); dx may be dy.
inline const Entry<void(Queue, int row, DType, const void* dy, const void* y, void* dx, int64_t n,
                        float parameter)>
    elementwise_gradients{"elementwise_gradients"};
/// y[i] = a[i] + b[i].
inline const Entry<void(Queue, DType, const void* a, const void* b, void* y, int64_t n)>
    elementwise_sums{"elementwise_sums"};
/// y[row, c] += bias[c], and with `relu` the larger of that and 0; y is [rows, channels] and as
/// aligned as bias.
inline const Entry<void(Queue, DType, int64_t rows, int64_t channels, const void* bias, bool relu,
                        void* y)>
    add_to_rows{"add_to_rows"};

}  // namespace gliograd::kernels
