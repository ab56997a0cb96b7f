// The choice of the instruction set, the loops around the tiles, packing, and the tiles for any
// machine: 4 x 8 of c in four-float vectors of the compiler's, multiply and add apart.
#include "kernels/cpu/product.hpp"

#include "kernels/cpu/product_tile.hpp"

namespace gliograd::kernels {

#if defined(__x86_64__)
extern const ProductKernel kProductAvx2;
extern const ProductKernel kProductAvx512;
#endif

namespace {

struct Portable {
  static constexpr int width = 4;
  using Vector = float __attribute__((vector_size(16)));
  using Mask = int;  // columns
  static Mask mask(int columns) { return columns; }
  static Vector zero() { return Vector{}; }
  static Vector load(const float* p) { return Vector{p[0], p[1], p[2], p[3]}; }
  static Vector load(const float* p, Mask m) {
    Vector x{};
    for (int i = 0; i < m; ++i) x[i] = p[i];
    return x;
  }
  static Vector broadcast(const float* p) { return Vector{*p, *p, *p, *p}; }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return a * b + c; }
  static Vector add(Vector a, Vector b) { return a + b; }
  static void store(float* p, Vector x) { store(p, x, width); }
  static void store(float* p, Vector x, Mask m) {
    for (int i = 0; i < m; ++i) p[i] = x[i];
  }
};

constexpr ProductKernel kProductPortable = {Isa::portable, Portable::width, 4, 8,
                                            any_tile<Portable, 4, 8>};

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace

const char* name_of(Isa isa) {
  return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "portable";
}

const ProductKernel* product_kernel(Isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (isa == Isa::avx512) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")
               ? &kProductAvx512
               : nullptr;
  }
  if (isa == Isa::avx2) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kProductAvx2
                                                                           : nullptr;
  }
#endif
  return isa == Isa::portable ? &kProductPortable : nullptr;
}

const ProductKernel& product_kernel() {
  static const ProductKernel* const best = product_kernel(Isa::avx512) ? product_kernel(Isa::avx512)
                                           : product_kernel(Isa::avx2) ? product_kernel(Isa::avx2)
                                                                       : &kProductPortable;
  return *best;
}

void product(const ProductKernel& kernel, const Product& p) {
  const int64_t panel = kernel.panel(p.n);
  Product tile = p;
  for (int64_t n = 0; n < p.n; n += panel) {
    tile.n = smaller(panel, p.n - n);
    tile.b = p.b + n / panel * p.b_panel;
    tile.start = p.start ? p.start + n : nullptr;
    const int64_t rows = tile.n > kernel.width ? kernel.rows_wide : kernel.rows_small;
    const int64_t tiles = (p.m + rows - 1) / rows;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t begin = p.m * t / tiles;
      tile.m = p.m * (t + 1) / tiles - begin;
      tile.a = p.a + begin * p.a_row;
      tile.c = p.c + begin * p.c_row + n;
      kernel.tile(tile);
    }
  }
}

int64_t packed_size(const ProductKernel& kernel, int64_t k, int64_t n) {
  const int64_t panel = kernel.panel(n);
  return k * ((n + panel - 1) / panel * panel);
}

void pack(const ProductKernel& kernel, const float* b, int64_t row, int64_t col, int64_t k,
          int64_t n, float* packed) {
  constexpr int64_t kBlock = 16;  // rows at a time: both sides of a transposition stay in the L1
  const int64_t panel = kernel.panel(n);
  for (int64_t begin = 0; begin < n; begin += panel, packed += k * panel) {
    const int64_t columns = smaller(panel, n - begin);
    if (col == 1) {
      for (int64_t i = 0; i < k; ++i) {
        float* to = packed + i * panel;
        __builtin_memcpy(to, b + i * row + begin, columns * sizeof(float));
        for (int64_t j = columns; j < panel; ++j) to[j] = 0.0f;
      }
      continue;
    }
    for (int64_t first = 0; first < k; first += kBlock) {
      const int64_t last = smaller(first + kBlock, k);
      for (int64_t j = 0; j < panel; ++j) {
        const float* from = b + (begin + j) * col;
        for (int64_t i = first; i < last; ++i) {
          packed[i * panel + j] = j < columns ? from[i * row] : 0.0f;
        }
      }
    }
  }
}

}  // namespace gliograd::kernels
