// The product's tiles for AVX2 and FMA: 6 x 16 or 12 x 8 of c in registers.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/product_tile.hpp"

namespace gliograd::kernels {
namespace {

struct Avx2 {
  static constexpr int width = 8;
  using Vector = __m256;
  using Mask = __m256i;
  static Mask mask(int columns) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(columns),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Vector zero() { return _mm256_setzero_ps(); }
  static Vector load(const float* p) { return _mm256_loadu_ps(p); }
  static Vector load(const float* p, Mask m) { return _mm256_maskload_ps(p, m); }
  static Vector broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static void store(float* p, Vector x) { _mm256_storeu_ps(p, x); }
  static void store(float* p, Vector x, Mask m) { _mm256_maskstore_ps(p, m, x); }
};

}  // namespace

extern const ProductKernel kProductAvx2;
const ProductKernel kProductAvx2 = {Isa::avx2, Avx2::width, 6, 12, any_tile<Avx2, 6, 12>};

}  // namespace gliograd::kernels
#endif
