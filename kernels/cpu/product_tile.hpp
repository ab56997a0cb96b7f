// The micro-kernel itself, over a vector type V: included by one .cpp an instruction set and by
// nobody else. No library header and nothing with external linkage here: a function compiled for
// AVX-512 that the linker took for the whole program would crash elsewhere.
#pragma once
#include "kernels/cpu/product.hpp"

namespace gliograd::kernels {
namespace {

// kRows x (kVectors * V::width) of c in registers; kPartial: the last vector has fewer columns.
// For each k: kVectors loads of b, kRows broadcasts of a, kRows * kVectors multiply-adds. Rows are
// addressed as (one of kRows / 4 pointers) + (0, 1, 2, 3 row strides): few registers, any stride.
template <class V, int kRows, int kVectors, bool kPartial>
void tile(const Product& p) {
  constexpr int kQuads = (kRows + 3) / 4;
  const typename V::Mask mask = V::mask(static_cast<int>(p.n) - (kVectors - 1) * V::width);
  const auto load = [&](const float* from, int v) {
    return kPartial && v == kVectors - 1 ? V::load(from + v * V::width, mask)
                                         : V::load(from + v * V::width);
  };
  typename V::Vector sum[kRows][kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const auto start = p.start ? load(p.start, v) : V::zero();
    for (int i = 0; i < kRows; ++i) sum[i][v] = start;
  }
  const float* b = p.b;
  const int64_t row = p.a_row, row2 = 2 * p.a_row, row3 = 3 * p.a_row, a_k = p.a_k, b_k = p.b_k;
  for (int64_t o = 0; o < p.outer; ++o) {
    const float* quad[kQuads];
    quad[0] = p.a + (p.offsets ? p.offsets[o] : 0);
    for (int q = 1; q < kQuads; ++q) quad[q] = quad[q - 1] + 4 * row;
    for (int64_t i = p.inner; i > 0; --i) {
      typename V::Vector right[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) right[v] = load(b, v);
#pragma GCC unroll 32
      for (int r = 0; r < kRows; ++r) {
        const float* at = quad[r / 4] + (r % 4 == 0   ? 0
                                         : r % 4 == 1 ? row
                                         : r % 4 == 2 ? row2
                                                      : row3);
        const auto left = V::broadcast(at);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[r][v] = V::multiply_add(left, right[v], sum[r][v]);
      }
#pragma GCC unroll 8
      for (int q = 0; q < kQuads; ++q) quad[q] += a_k;
      b += b_k;
    }
  }
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* to = p.c + r * p.c_row;
      const auto value = p.accumulate ? V::add(load(to, v), sum[r][v]) : sum[r][v];
      if (kPartial && v == kVectors - 1) {
        V::store(to + v * V::width, value, mask);
      } else {
        V::store(to + v * V::width, value);
      }
    }
  }
}

template <class V, int kVectors, bool kPartial, int kRows>
void tile_of_rows(const Product& p) {
  if constexpr (kRows > 0) {
    if (p.m == kRows) return tile<V, kRows, kVectors, kPartial>(p);
    tile_of_rows<V, kVectors, kPartial, kRows - 1>(p);
  }
}

template <class V, int kRowsWide, int kRowsSmall>
void any_tile(const Product& p) {
  const bool partial = p.n % V::width != 0;
  if (p.n > V::width) {
    partial ? tile_of_rows<V, 2, true, kRowsWide>(p) : tile_of_rows<V, 2, false, kRowsWide>(p);
  } else {
    partial ? tile_of_rows<V, 1, true, kRowsSmall>(p) : tile_of_rows<V, 1, false, kRowsSmall>(p);
  }
}

}  // namespace
}  // namespace gliograd::kernels
