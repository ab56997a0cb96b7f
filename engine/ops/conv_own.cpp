// Convolution on the CPU by the project's own kernels, f32 NHWC.
#include <algorithm>
#include <vector>

#include "engine/core/parallel.hpp"
#include "engine/core/simd.hpp"
#include "engine/ops/conv_paths.hpp"

namespace gliograd::conv_paths {
namespace {

// y[k] += a * x[k]
GG_MULTIVERSION void add_scaled(float* y, const float* x, float a, int64_t n) {
  for (int64_t k = 0; k < n; ++k) y[k] += a * x[k];
}

// Calls f(i, r, row) for each output row and tap row whose input row lies in the image.
template <class F>
void for_taps(const Geometry& g, int64_t i, int64_t j, const F& f) {
  for (int64_t r = 0; r < g.kh; ++r) {
    const int64_t row = i * g.stride - g.pad.top + r * g.dilation;
    if (row < 0 || row >= g.h) continue;
    for (int64_t s = 0; s < g.kw; ++s) {
      const int64_t col = j * g.stride - g.pad.left + s * g.dilation;
      if (col >= 0 && col < g.w) f(r * g.kw + s, row, col);
    }
  }
}

}  // namespace

void forward_own(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                 const Tensor& bias, Tensor& y) {
  const int64_t cg = g.cg(), og = g.og();
  const float *xs = x.data<float>(), *ws = weight.data<float>();
  Tensor packed = empty(stream, {g.taps() * cg, g.co});  // [kh, kw, cg, Cout]
  float* ps = packed.data<float>();
  for (int64_t o = 0; o < g.co; ++o)
    for (int64_t k = 0; k < g.taps() * cg; ++k) ps[k * g.co + o] = ws[o * g.taps() * cg + k];
  float* ys = y.data<float>();
  parallel_for(stream.threads(), g.n * g.ho, 1, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const int64_t n = line / g.ho, i = line % g.ho;
      for (int64_t j = 0; j < g.wo; ++j) {
        float* out = ys + (line * g.wo + j) * g.co;
        if (bias.defined()) {
          std::copy_n(bias.data<float>(), g.co, out);
        } else {
          std::fill_n(out, g.co, 0.0f);
        }
        for_taps(g, i, j, [&](int64_t tap, int64_t row, int64_t col) {
          const float* in = xs + ((n * g.h + row) * g.w + col) * g.ci;
          for (int64_t group = 0; group < g.groups; ++group)
            for (int64_t c = 0; c < cg; ++c)
              add_scaled(out + group * og, ps + (tap * cg + c) * g.co + group * og,
                         in[group * cg + c], og);
        });
      }
    }
  });
}

void backward_data_own(Stream& stream, const Geometry& g, const Tensor& dy, const Tensor& weight,
                       Tensor& dx) {
  const int64_t cg = g.cg(), og = g.og();
  const float *dys = dy.data<float>(), *ws = weight.data<float>();
  float* dxs = dx.data<float>();
  parallel_for(stream.threads(), g.n, 1, [&](int64_t begin, int64_t end) {
    const int64_t image = g.h * g.w * g.ci;
    std::fill(dxs + begin * image, dxs + end * image, 0.0f);
    for (int64_t n = begin; n < end; ++n)
      for (int64_t i = 0; i < g.ho; ++i)
        for (int64_t j = 0; j < g.wo; ++j) {
          const float* in = dys + ((n * g.ho + i) * g.wo + j) * g.co;
          for_taps(g, i, j, [&](int64_t tap, int64_t row, int64_t col) {
            float* out = dxs + ((n * g.h + row) * g.w + col) * g.ci;
            for (int64_t o = 0; o < g.co; ++o)
              add_scaled(out + o / og * cg, ws + (o * g.taps() + tap) * cg, in[o], cg);
          });
        }
  });
}

void backward_weights_own(Stream& stream, const Geometry& g, const Tensor& dy, const Tensor& x,
                          Tensor& dw) {
  const int64_t cg = g.cg(), og = g.og();
  const float *dys = dy.data<float>(), *xs = x.data<float>();
  float* dws = dw.data<float>();
  // A thread owns output channels, so sums do not depend on the thread count. One image's sum is
  // added at a time: shorter running sums, smaller error.
  parallel_for(stream.threads(), g.co, 1, [&](int64_t begin, int64_t end) {
    const int64_t length = g.taps() * cg;
    std::fill(dws + begin * length, dws + end * length, 0.0f);
    std::vector<float> partial(length);
    for (int64_t o = begin; o < end; ++o)
      for (int64_t n = 0; n < g.n; ++n) {
        std::fill(partial.begin(), partial.end(), 0.0f);
        for (int64_t i = 0; i < g.ho; ++i)
          for (int64_t j = 0; j < g.wo; ++j) {
            const float d = dys[((n * g.ho + i) * g.wo + j) * g.co + o];
            for_taps(g, i, j, [&](int64_t tap, int64_t row, int64_t col) {
              add_scaled(partial.data() + tap * cg,
                         xs + ((n * g.h + row) * g.w + col) * g.ci + o / og * cg, d, cg);
            });
          }
        add_scaled(dws + o * length, partial.data(), 1.0f, length);
      }
  });
}

void backward_bias_own(Stream&, const Geometry& g, const Tensor& dy, Tensor& db) {
  // A row of pixels at a time, as the weights above.
  std::vector<float> partial(g.co);
  fill_zero(db);
  for (int64_t line = 0; line < g.n * g.ho; ++line) {
    std::fill(partial.begin(), partial.end(), 0.0f);
    for (int64_t j = 0; j < g.wo; ++j)
      add_scaled(partial.data(), dy.data<float>() + (line * g.wo + j) * g.co, 1.0f, g.co);
    add_scaled(db.data<float>(), partial.data(), 1.0f, g.co);
  }
}

}  // namespace gliograd::conv_paths
