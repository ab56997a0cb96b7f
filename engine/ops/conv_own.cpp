// Convolution on the CPU by the project's own kernels, f32 NHWC. Reading order: the window (which
// pixels a product reads), the product over a window, then forward and the two gradients, each in
// terms of it.
//
// Nothing is rearranged but the weights and the border: a row of pixels of an NHWC image already is
// the left operand of a product (kernels/cpu/product.hpp), and only images with padding are copied,
// a band of rows at a time, into a buffer that holds the zeros around them.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "engine/core/parallel.hpp"
#include "engine/core/simd.hpp"
#include "engine/ops/conv_paths.hpp"
#include "kernels/cpu/product.hpp"

namespace gliograd::conv_paths {
namespace {

using kernels::Product;
using kernels::ProductKernel;

// One axis of the taps: tap `index` of the weights reads `offset` pixels behind the window's place.
struct Tap {
  int64_t index;
  int64_t offset;
};

// A grid of rows x cols output pixels; pixel (i, j) reads, for each tap, input pixel
// (i * step + first_row + offset, j * step + first_col + offset). Zero outside the image.
struct Window {
  int64_t h, w, channels;  // the input image
  int64_t rows, cols, step;
  std::vector<Tap> row_taps, col_taps;  // sorted by offset, smallest 0
  int64_t first_row = 0, first_col = 0;

  int64_t input_rows(int64_t out) const { return (out - 1) * step + row_taps.back().offset + 1; }
  int64_t input_cols() const { return (cols - 1) * step + col_taps.back().offset + 1; }
  // Whether it reads the image alone, so that nothing needs to be copied.
  bool inside() const {
    return first_row >= 0 && first_col >= 0 && first_row + input_rows(rows) <= h &&
           first_col + input_cols() <= w;
  }
  // Whether the taps of a row lie side by side, so that they and all channels are one run.
  bool contiguous(int64_t groups) const {
    return groups == 1 && col_taps.back().offset + 1 == static_cast<int64_t>(col_taps.size());
  }
  int64_t taps() const { return static_cast<int64_t>(row_taps.size() * col_taps.size()); }
};

Window forward_window(const Geometry& g) {
  Window v{.h = g.h,
           .w = g.w,
           .channels = g.ci,
           .rows = g.ho,
           .cols = g.wo,
           .step = g.stride,
           .row_taps = {},
           .col_taps = {}};
  for (int64_t r = 0; r < g.kh; ++r) v.row_taps.push_back({r, r * g.dilation});
  for (int64_t s = 0; s < g.kw; ++s) v.col_taps.push_back({s, s * g.dilation});
  v.first_row = -g.pad.top;
  v.first_col = -g.pad.left;
  return v;
}

// Output pixels i = (row + pad - r * dilation) / stride of dy, for the rows phase, phase + stride,
// … of dx: the taps r where the division leaves no rest, each a fixed distance from row / stride.
std::vector<Tap> taps_of_phase(int64_t phase, int64_t taps, int64_t pad, const Geometry& g,
                               int64_t& first) {
  std::vector<Tap> list;
  for (int64_t r = taps - 1; r >= 0; --r) {  // so that offsets rise
    const int64_t place = phase + pad - r * g.dilation;
    if (place % g.stride == 0) list.push_back({r, place / g.stride});
  }
  if (list.empty()) return list;
  first = list.front().offset;
  for (Tap& tap : list) tap.offset -= first;
  return list;
}

// Offsets of the window's runs in a buffer whose rows are `line` floats long.
std::vector<int64_t> run_offsets(const Window& v, int64_t line, bool contiguous) {
  std::vector<int64_t> offsets;
  for (const Tap& row : v.row_taps) {
    for (const Tap& col : v.col_taps) {
      offsets.push_back(row.offset * line + col.offset * v.channels);
      if (contiguous) break;
    }
  }
  return offsets;
}

// Input rows [row, row + count) of an image into `out`, zeros around it.
void copy_rows(const Window& v, const float* image, int64_t row, int64_t count, float* out) {
  const int64_t cols = v.input_cols(), c = v.channels;
  const int64_t begin = std::clamp<int64_t>(-v.first_col, 0, cols);  // first column inside
  const int64_t end = std::clamp<int64_t>(v.w - v.first_col, begin, cols);
  for (int64_t i = row; i < row + count; ++i, out += cols * c) {
    if (i < 0 || i >= v.h) {
      std::memset(out, 0, cols * c * sizeof(float));
      continue;
    }
    std::memset(out, 0, begin * c * sizeof(float));
    std::memcpy(out + begin * c, image + (i * v.w + v.first_col + begin) * c,
                (end - begin) * c * sizeof(float));
    std::memset(out + end * c, 0, (cols - end) * c * sizeof(float));
  }
}

// A window's input for some of its output rows: the image itself, or a copy with its border.
class Band {
 public:
  Band(Stream& stream, const Window& v, int64_t most_rows) : v_(v), inside_(v.inside()) {
    line_ = (inside_ ? v.w : v.input_cols()) * v.channels;
    if (!inside_) buffer_ = empty(stream, {v.input_rows(most_rows) * line_});
  }
  int64_t line() const { return line_; }
  // Where the input of output pixel (row, 0) lies.
  const float* at(const float* image, int64_t row, int64_t rows) {
    const int64_t first = row * v_.step + v_.first_row;
    if (inside_) return image + first * line_ + v_.first_col * v_.channels;
    copy_rows(v_, image, first, v_.input_rows(rows), buffer_.data<float>());
    return buffer_.data<float>();
  }

 private:
  const Window& v_;
  bool inside_;
  int64_t line_;
  Tensor buffer_;
};

// The product of each window with `packed` [groups][panels of (taps, channels of a group) x n]:
// out[i * out_row + j * out_col + group * n + o] for image k at out + k * out_image.
struct WindowOutput {
  float* out;
  int64_t image, row, col;
  const float* bias;  // or null
};

void window_product(Stream& stream, const Window& v, const float* in, int64_t images,
                    int64_t groups, int64_t n, const float* packed, const WindowOutput& to) {
  const ProductKernel& kernel = kernels::product_kernel();
  const bool contiguous = v.contiguous(groups);
  const int64_t channels = v.channels / groups, k = v.taps() * channels;
  const int64_t panel = kernel.panel(n), panels = (n + panel - 1) / panel;
  // About 48 KiB of input at a time, so that it stays in the inner caches while all panels of
  // weights pass over it.
  const int64_t line = v.input_cols() * v.channels;
  const int64_t fit = (12288 / line - v.row_taps.back().offset) / v.step;
  const int64_t most_rows = std::clamp<int64_t>(fit, std::min<int64_t>(v.rows, 4), v.rows);
  const int64_t bands = (v.rows + most_rows - 1) / most_rows;
  parallel_for(stream.threads(), images * bands, 1, [&](int64_t begin, int64_t end) {
    Band band(stream, v, most_rows);
    const std::vector<int64_t> offsets = run_offsets(v, band.line(), contiguous);
    // A 1 x 1 window over whole rows: all rows of the band are one long row.
    const bool merge = v.taps() == 1 && v.step == 1 && band.line() == v.cols * v.channels &&
                       to.row == v.cols * to.col;
    for (int64_t index = begin; index < end; ++index) {
      const int64_t image = index / bands, first = v.rows * (index % bands) / bands;
      const int64_t rows = v.rows * (index % bands + 1) / bands - first;
      const float* a = band.at(in + image * v.h * v.w * v.channels, first, rows);
      float* out = to.out + image * to.image + first * to.row;
      for (int64_t group = 0; group < groups; ++group) {
        for (int64_t p = 0; p < panels; ++p) {
          const int64_t column = group * n + p * panel;
          Product product{.m = merge ? rows * v.cols : v.cols,
                          .n = std::min(panel, n - p * panel),
                          .outer = static_cast<int64_t>(offsets.size()),
                          .offsets = offsets.data(),
                          .inner = k / static_cast<int64_t>(offsets.size()),
                          .a_row = v.step * v.channels,
                          .b = packed + (group * panels + p) * k * panel,
                          .b_k = panel,
                          .c_row = to.col,
                          .start = to.bias ? to.bias + column : nullptr};
          for (int64_t i = 0; i < (merge ? 1 : rows); ++i) {
            product.a = a + i * v.step * band.line() + group * channels;
            product.c = out + i * to.row + column;
            kernels::product(kernel, product);
          }
        }
      }
    }
  });
}

// A packed copy of the weights, kept with the parameter while its version lasts.
template <class Pack>
Tensor packed_weights(const Tensor& weight, const std::string& key, const Pack& pack) {
  return weight.parameter ? weight.parameter->cached(key, pack) : pack();
}

// y[k] += x[k]
GG_MULTIVERSION void add_row(float* y, const float* x, int64_t n) {
  for (int64_t k = 0; k < n; ++k) y[k] += x[k];
}

}  // namespace

void forward_own(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                 const Tensor& bias, Tensor& y) {
  if (g.depthwise()) return forward_depthwise(stream, g, x, weight, bias, y);
  const ProductKernel& kernel = kernels::product_kernel();
  const int64_t k = g.taps() * g.cg(), size = kernels::packed_size(kernel, k, g.og());
  const Tensor packed =
      packed_weights(weight, concat_text("conv:forward:", weight.shape, g.groups), [&] {
        Tensor t = empty(stream, {g.groups * size});
        for (int64_t group = 0; group < g.groups; ++group) {
          kernels::pack(kernel, weight.data<float>() + group * g.og() * k, 1, k, k, g.og(),
                        t.data<float>() + group * size);
        }
        return t;
      });
  window_product(stream, forward_window(g), x.data<float>(), g.n, g.groups, g.og(),
                 packed.data<float>(),
                 {y.data<float>(), g.ho * g.wo * g.co, g.wo * g.co, g.co,
                  bias.defined() ? bias.data<float>() : nullptr});
}

// dx[row, col, c] = sum over taps with (row + top - r * dilation) = i * stride, and the same for
// columns, and over o of dy[i, j, o] * w[o, r, s, c]. For each of the stride * stride phases of
// (row, col) that is a window of step 1 over dy with some of the taps.
void backward_data_own(Stream& stream, const Geometry& g, const Tensor& dy, const Tensor& weight,
                       Tensor& dx) {
  if (g.depthwise()) return backward_data_depthwise(stream, g, dy, weight, dx);
  const ProductKernel& kernel = kernels::product_kernel();
  const int64_t cg = g.cg(), og = g.og();
  const float* ws = weight.data<float>();
  // Pixels that no window sees: phases without a tap.
  if (g.stride > 1) fill_zero(dx);
  for (int64_t phase_row = 0; phase_row < std::min(g.stride, g.h); ++phase_row) {
    for (int64_t phase_col = 0; phase_col < std::min(g.stride, g.w); ++phase_col) {
      Window v{.h = g.ho,
               .w = g.wo,
               .channels = g.co,
               .rows = (g.h - phase_row + g.stride - 1) / g.stride,
               .cols = (g.w - phase_col + g.stride - 1) / g.stride,
               .step = 1,
               .row_taps = {},
               .col_taps = {}};
      v.row_taps = taps_of_phase(phase_row, g.kh, g.pad.top, g, v.first_row);
      v.col_taps = taps_of_phase(phase_col, g.kw, g.pad.left, g, v.first_col);
      if (v.taps() == 0) continue;
      const int64_t k = v.taps() * og, size = kernels::packed_size(kernel, k, cg);
      const std::string key = concat_text("conv:data:", weight.shape, g.groups, ':', g.stride, ':',
                                          g.dilation, ':', g.pad, ':', phase_row, ':', phase_col);
      const Tensor packed = packed_weights(weight, key, [&] {
        Tensor t = empty(stream, {g.groups * size}), turned = empty(stream, {k, cg});
        for (int64_t group = 0; group < g.groups; ++group) {
          float* row = turned.data<float>();  // [tap of this phase, o, c]
          for (const Tap& r : v.row_taps) {
            for (const Tap& s : v.col_taps) {
              for (int64_t o = group * og; o < (group + 1) * og; ++o, row += cg) {
                std::copy_n(ws + ((o * g.kh + r.index) * g.kw + s.index) * cg, cg, row);
              }
            }
          }
          kernels::pack(kernel, turned.data<float>(), cg, 1, k, cg, t.data<float>() + group * size);
        }
        return t;
      });
      window_product(stream, v, dy.data<float>(), g.n, g.groups, cg, packed.data<float>(),
                     {dx.data<float>() + (phase_row * g.w + phase_col) * g.ci, g.h * g.w * g.ci,
                      g.stride * g.w * g.ci, g.stride * g.ci, nullptr});
    }
  }
}

// dw[o, r, s, c] = sum over output pixels of x[window pixel, c] * dy[pixel, o]: a product whose
// long axis is the pixels. Sums: some 160 pixels in a register, those added up over a chunk of
// images, chunks added in order. The number of chunks depends on the shape alone, so the bits do
// not depend on the number of threads.
void backward_weights_own(Stream& stream, const Geometry& g, const Tensor& dy, const Tensor& x,
                          Tensor& dw) {
  if (g.depthwise()) return backward_weights_depthwise(stream, g, dy, x, dw);
  const ProductKernel& kernel = kernels::product_kernel();
  const Window v = forward_window(g);
  const bool contiguous = v.contiguous(g.groups);
  const int64_t cg = g.cg(), og = g.og(), k = g.taps() * cg, size = g.groups * k * og;
  const int64_t band_rows = std::clamp<int64_t>(160 / g.wo, 1, g.ho);
  // Adding up a chunk costs several passes over dw: at least 1,024 pixels each.
  const int64_t chunks =
      std::clamp<int64_t>(g.n * g.ho * g.wo / 1024, 1, std::min<int64_t>(g.n, 8));
  const int64_t workers = std::min<int64_t>(chunks, stream.threads());
  Tensor sums = empty(stream, {workers == 1 ? 1 : chunks, size});  // [chunk][group, tap, c, o]

  const auto sum_chunk = [&](int64_t chunk, float* sum) {
    std::fill_n(sum, size, 0.0f);
    Band band(stream, v, band_rows);
    const std::vector<int64_t> runs = run_offsets(v, band.line(), contiguous);
    const int64_t run = k / static_cast<int64_t>(runs.size());
    std::vector<int64_t> rows(band_rows);
    for (int64_t i = 0; i < band_rows; ++i) rows[i] = i * g.stride * band.line();
    // Several panels of dy lie too far apart for the L1 cache, so they are packed; a single one is
    // read in place.
    const int64_t panel = kernel.panel(og);
    const bool packed = og > panel;
    Tensor panels;
    if (packed) panels = empty(stream, {kernels::packed_size(kernel, band_rows * g.wo, og)});
    for (int64_t n = g.n * chunk / chunks; n < g.n * (chunk + 1) / chunks; ++n) {
      for (int64_t first = 0; first < g.ho; first += band_rows) {
        const int64_t count = std::min(band_rows, g.ho - first);
        const float* a = band.at(x.data<float>() + n * g.h * g.w * g.ci, first, count);
        const float* d = dy.data<float>() + (n * g.ho + first) * g.wo * g.co;
        for (int64_t group = 0; group < g.groups; ++group) {
          const float* right = d + group * og;
          if (packed) {
            kernels::pack(kernel, right, g.co, 1, count * g.wo, og, panels.data<float>());
            right = panels.data<float>();
          }
          for (size_t r = 0; r < runs.size(); ++r) {
            kernels::product(kernel, {.m = run,
                                      .n = og,
                                      .outer = count,
                                      .offsets = rows.data(),
                                      .inner = g.wo,
                                      .a = a + runs[r] + group * cg,
                                      .a_row = 1,
                                      .a_k = g.stride * g.ci,
                                      .b = right,
                                      .b_k = packed ? panel : g.co,
                                      .b_panel = packed ? count * g.wo * panel : panel,
                                      .c = sum + (group * k + static_cast<int64_t>(r) * run) * og,
                                      .c_row = og,
                                      .accumulate = true});
          }
        }
      }
    }
  };

  Tensor total = empty(stream, {size});
  fill_zero(total);
  if (workers == 1) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      sum_chunk(chunk, sums.data<float>());
      add_row(total.data<float>(), sums.data<float>(), size);
    }
  } else {
    parallel_for(stream.threads(), chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) sum_chunk(c, sums.data<float>() + c * size);
    });
    for (int64_t c = 0; c < chunks; ++c) {
      add_row(total.data<float>(), sums.data<float>() + c * size, size);
    }
  }
  const float* from = total.data<float>();  // [group, tap, c, o] to [group, o, tap, c]
  float* out = dw.data<float>();
  for (int64_t group = 0; group < g.groups; ++group, from += k * og, out += k * og) {
    for (int64_t o = 0; o < og; ++o)
      for (int64_t i = 0; i < k; ++i) out[o * k + i] = from[i * og + o];
  }
}

// Rows of pixels are summed, the rows of an image, then the images in order: short running sums,
// and bits that do not depend on the number of threads.
void backward_bias_own(Stream& stream, const Geometry& g, const Tensor& dy, Tensor& db) {
  Tensor sums = empty(stream, {g.n, 2, g.co});  // of an image; of a row
  parallel_for(stream.threads(), g.n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      float *image = sums.data<float>() + n * 2 * g.co, *row = image + g.co;
      std::fill_n(image, g.co, 0.0f);
      for (int64_t i = 0; i < g.ho; ++i) {
        std::fill_n(row, g.co, 0.0f);
        const float* line = dy.data<float>() + (n * g.ho + i) * g.wo * g.co;
        for (int64_t j = 0; j < g.wo; ++j) add_row(row, line + j * g.co, g.co);
        add_row(image, row, g.co);
      }
    }
  });
  fill_zero(db);
  for (int64_t n = 0; n < g.n; ++n) {
    add_row(db.data<float>(), sums.data<float>() + n * 2 * g.co, g.co);
  }
}

}  // namespace gliograd::conv_paths
