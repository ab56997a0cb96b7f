// The product's tiles for AVX-512: 14 x 32 or 20 x 16 of c in registers, one FMA a 16 columns.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/product_tile.hpp"

namespace gliograd::kernels {
namespace {

struct Avx512 {
  static constexpr int width = 16;
  using Vector = __m512;
  using Mask = __mmask16;
  static Mask mask(int columns) {
    return static_cast<Mask>(columns >= width ? 0xffff : (1 << columns) - 1);
  }
  static Vector zero() { return _mm512_setzero_ps(); }
  static Vector load(const float* p) { return _mm512_loadu_ps(p); }
  static Vector load(const float* p, Mask m) { return _mm512_maskz_loadu_ps(m, p); }
  static Vector broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static void store(float* p, Vector x) { _mm512_storeu_ps(p, x); }
  static void store(float* p, Vector x, Mask m) { _mm512_mask_storeu_ps(p, m, x); }
};

}  // namespace

extern const ProductKernel kProductAvx512;
const ProductKernel kProductAvx512 = {Isa::avx512, Avx512::width, 14, 20, any_tile<Avx512, 14, 20>};

}  // namespace gliograd::kernels
#endif
