// Depthwise convolution (one filter a channel) on the CPU: a product would waste its columns, so
// each output pixel is summed over its taps, all channels side by side.
#include <algorithm>
#include <vector>

#include "engine/core/parallel.hpp"
#include "engine/core/simd.hpp"
#include "engine/ops/conv_paths.hpp"

namespace gliograd::conv_paths {
namespace {

// Sixteen channels: one AVX-512 vector, two of AVX2, four of SSE, as the clone has them.
using Block = float __attribute__((vector_size(64), aligned(4), may_alias));
constexpr int64_t kBlock = 16;

// y[c] = start[c] + sum over t of x[t][c] * w[t][c].
GG_MULTIVERSION void sum_taps(float* y, const float* start, const float* const* x,
                              const float* const* w, int64_t taps, int64_t channels) {
  int64_t c = 0;
  for (; c + kBlock <= channels; c += kBlock) {
    Block sum{};
    if (start) sum = *reinterpret_cast<const Block*>(start + c);
    for (int64_t t = 0; t < taps; ++t) {
      sum += *reinterpret_cast<const Block*>(x[t] + c) * *reinterpret_cast<const Block*>(w[t] + c);
    }
    *reinterpret_cast<Block*>(y + c) = sum;
  }
  for (; c < channels; ++c) {
    float sum = start ? start[c] : 0.0f;
    for (int64_t t = 0; t < taps; ++t) sum += x[t][c] * w[t][c];
    y[c] = sum;
  }
}

// sum[c] = sum over i < count of x[i * step + c] * dy[i * channels + c].
GG_MULTIVERSION void sum_products(float* sum, const float* x, int64_t step, const float* dy,
                                  int64_t count, int64_t channels) {
  int64_t c = 0;
  for (; c + kBlock <= channels; c += kBlock) {
    Block total{};
    for (int64_t i = 0; i < count; ++i) {
      total += *reinterpret_cast<const Block*>(x + i * step + c) *
               *reinterpret_cast<const Block*>(dy + i * channels + c);
    }
    *reinterpret_cast<Block*>(sum + c) = total;
  }
  for (; c < channels; ++c) {
    float total = 0;
    for (int64_t i = 0; i < count; ++i) total += x[i * step + c] * dy[i * channels + c];
    sum[c] = total;
  }
}

GG_MULTIVERSION void add_row(float* y, const float* x, int64_t n) {
  for (int64_t k = 0; k < n; ++k) y[k] += x[k];
}

// weight [C, kh, kw, 1] to [kh, kw, C].
Tensor taps_first(Stream& stream, const Geometry& g, const Tensor& weight) {
  Tensor t = empty(stream, {g.taps(), g.co});
  for (int64_t c = 0; c < g.co; ++c)
    for (int64_t k = 0; k < g.taps(); ++k) {
      t.at<float>(k * g.co + c) = weight.at<float>(c * g.taps() + k);
    }
  return t;
}

}  // namespace

void forward_depthwise(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                       const Tensor& bias, Tensor& y) {
  const Tensor w = taps_first(stream, g, weight);
  const float *xs = x.data<float>(), *ws = w.data<float>();
  const float* start = bias.defined() ? bias.data<float>() : nullptr;
  float* ys = y.data<float>();
  parallel_for(stream.threads(), g.n * g.ho, 1, [&](int64_t begin, int64_t end) {
    std::vector<const float*> at(g.taps()), by(g.taps());
    for (int64_t line = begin; line < end; ++line) {
      const float* image = xs + line / g.ho * g.h * g.w * g.ci;
      for (int64_t j = 0; j < g.wo; ++j) {
        int64_t taps = 0;
        for (int64_t r = 0; r < g.kh; ++r)
          for (int64_t s = 0; s < g.kw; ++s) {
            const int64_t row = line % g.ho * g.stride - g.pad.top + r * g.dilation;
            const int64_t col = j * g.stride - g.pad.left + s * g.dilation;
            if (row < 0 || row >= g.h || col < 0 || col >= g.w) continue;
            at[taps] = image + (row * g.w + col) * g.ci;
            by[taps++] = ws + (r * g.kw + s) * g.co;
          }
        sum_taps(ys + (line * g.wo + j) * g.co, start, at.data(), by.data(), taps, g.co);
      }
    }
  });
}

// dx[row, col] gathers from the output pixels whose window holds it.
void backward_data_depthwise(Stream& stream, const Geometry& g, const Tensor& dy,
                             const Tensor& weight, Tensor& dx) {
  const Tensor w = taps_first(stream, g, weight);
  const float *dys = dy.data<float>(), *ws = w.data<float>();
  float* out = dx.data<float>();
  parallel_for(stream.threads(), g.n * g.h, 1, [&](int64_t begin, int64_t end) {
    std::vector<const float*> at(g.taps()), by(g.taps());
    for (int64_t line = begin; line < end; ++line) {
      const float* image = dys + line / g.h * g.ho * g.wo * g.co;
      for (int64_t col = 0; col < g.w; ++col) {
        int64_t taps = 0;
        for (int64_t r = 0; r < g.kh; ++r)
          for (int64_t s = 0; s < g.kw; ++s) {
            const int64_t row = line % g.h + g.pad.top - r * g.dilation;
            const int64_t place = col + g.pad.left - s * g.dilation;
            if (row < 0 || row % g.stride != 0 || row / g.stride >= g.ho) continue;
            if (place < 0 || place % g.stride != 0 || place / g.stride >= g.wo) continue;
            at[taps] = image + (row / g.stride * g.wo + place / g.stride) * g.co;
            by[taps++] = ws + (r * g.kw + s) * g.co;
          }
        sum_taps(out + (line * g.w + col) * g.ci, nullptr, at.data(), by.data(), taps, g.ci);
      }
    }
  });
}

// A row of output pixels is summed, rows are added up over a chunk of images, chunks in order; the
// number of chunks depends on the shape alone, so the bits do not depend on the number of threads.
void backward_weights_depthwise(Stream& stream, const Geometry& g, const Tensor& dy,
                                const Tensor& x, Tensor& dw) {
  const int64_t size = g.taps() * g.co, chunks = std::min<int64_t>(g.n, 8);
  Tensor sums = empty(stream, {chunks, size});  // [chunk][kh, kw, C]
  const float *dys = dy.data<float>(), *xs = x.data<float>();
  parallel_for(stream.threads(), chunks, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> line(g.co);
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      float* sum = sums.data<float>() + chunk * size;
      std::fill_n(sum, size, 0.0f);
      for (int64_t n = g.n * chunk / chunks; n < g.n * (chunk + 1) / chunks; ++n)
        for (int64_t i = 0; i < g.ho; ++i)
          for (int64_t r = 0; r < g.kh; ++r) {
            const int64_t row = i * g.stride - g.pad.top + r * g.dilation;
            if (row < 0 || row >= g.h) continue;
            for (int64_t s = 0; s < g.kw; ++s) {
              // The output pixels whose tap s lies inside the row.
              const int64_t shift = s * g.dilation - g.pad.left;
              const int64_t first = shift >= 0 ? 0 : (-shift + g.stride - 1) / g.stride;
              const int64_t room = g.w - 1 - shift;
              const int64_t last = room < 0 ? 0 : std::min(g.wo, room / g.stride + 1);
              if (first >= last) continue;
              sum_products(line.data(),
                           xs + ((n * g.h + row) * g.w + first * g.stride + shift) * g.ci,
                           g.stride * g.ci, dys + ((n * g.ho + i) * g.wo + first) * g.co,
                           last - first, g.co);
              add_row(sum + (r * g.kw + s) * g.co, line.data(), g.co);
            }
          }
    }
  });
  for (int64_t chunk = 1; chunk < chunks; ++chunk) {
    add_row(sums.data<float>(), sums.data<float>() + chunk * size, size);
  }
  for (int64_t c = 0; c < g.co; ++c)
    for (int64_t k = 0; k < g.taps(); ++k) {
      dw.at<float>(c * g.taps() + k) = sums.at<float>(k * g.co + c);
    }
}

}  // namespace gliograd::conv_paths
