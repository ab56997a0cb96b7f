// The matrix product of the CPU paths: one register-blocked micro-kernel in f32, made for AVX-512,
// AVX2 and plain x86-64 (any other machine too), chosen when the program starts. Convolution and
// linear, forward and both gradients, are sums of products in this form.
//
// The left operand is read where it lies, through strides and a list of offsets, one value at a
// time, broadcast into a register. So the im2col matrix of a convolution is addressed and never
// written: its row m is an output pixel, its columns are `outer` runs (tap rows of the window) of
// `inner` neighboring values. The right operand is read in panels of neighboring columns.
//
// Raw pointers alone, one thread; who calls it spreads the work.
#pragma once
#include <cstdint>

namespace gliograd::kernels {

enum class Isa : uint8_t { portable, avx2, avx512 };
const char* name_of(Isa isa);

/// c[m, n] (+)= start[n] + sum over o < outer, i < inner of
///              a[offsets[o] + m * a_row + i * a_k] * b[(o * inner + i) * b_k + n],
/// where columns n of panel j = n / panel lie at b + j * b_panel + n % panel.
/// Strides in floats. Sums run in the order of k in one register, whatever the shape.
struct Product {
  int64_t m = 0, n = 0;
  int64_t outer = 1;
  const int64_t* offsets = nullptr;  // null: one run at offset 0
  int64_t inner = 0;
  const float* a = nullptr;
  int64_t a_row = 0, a_k = 1;
  const float* b = nullptr;
  int64_t b_k = 0, b_panel = 0;
  float* c = nullptr;
  int64_t c_row = 0;
  const float* start = nullptr;  // [n], or null for zero; a bias
  bool accumulate = false;       // add to what c holds
};

/// What tells one instruction set's kernel from another's.
struct ProductKernel {
  Isa isa;
  int width;       // floats of one vector
  int rows_wide;   // most rows of a tile of two vectors
  int rows_small;  // most rows of a tile of one vector
  /// One tile: m <= rows, n <= 2 * width; `p.b` points at its panel.
  void (*tile)(const Product& p);

  /// Columns of a panel for n columns in all.
  int64_t panel(int64_t n) const { return n <= width ? width : 2 * width; }
};

/// The best one that this machine runs.
const ProductKernel& product_kernel();
/// A given one, for tests and benches; null where this machine does not run it.
const ProductKernel* product_kernel(Isa isa);

/// Computes all of `p`: panels of columns, and in each, tiles of nearly equal numbers of rows.
void product(const ProductKernel& kernel, const Product& p);

/// Floats that a packed right operand of k rows and n columns takes.
int64_t packed_size(const ProductKernel& kernel, int64_t k, int64_t n);
/// b[i * row + j * col], k by n, into panels: b_k = kernel.panel(n), b_panel = k * b_k. Columns
/// beyond n become zero.
void pack(const ProductKernel& kernel, const float* b, int64_t row, int64_t col, int64_t k,
          int64_t n, float* packed);

}  // namespace gliograd::kernels
