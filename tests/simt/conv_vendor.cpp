// cuDNN's place on the emulated GPU: plain products over the same layouts, with a workspace that
// has to be there. It serves what the real one would: 16-bit types with channels in multiples of 8,
// f32 with multiples of 4, no depthwise.
#include <vector>

#include "kernels/conv.hpp"
#include "kernels/gpu/queue.hpp"
#include "kernels/half.hpp"
#include "tests/simt/runtime.hpp"
#include "tests/simt/simt.hpp"

namespace gliograd::kernels {
namespace {

constexpr int64_t kWorkspace = 512;

struct Vendor {
  Queue queue;
};

ConvVendorVersion version() { return {}; }
ConvVendor make(Queue queue) { return {new Vendor{queue}}; }
void free_vendor(ConvVendor vendor) { delete static_cast<Vendor*>(vendor.handle); }

int64_t workspace_of(ConvVendor, ConvPass, const ConvShape& s, bool) {
  const int64_t multiple = s.dtype == DType::f32 ? 4 : 8;
  return s.groups == 1 && s.ci % multiple == 0 && s.co % multiple == 0 ? kWorkspace : -1;
}

std::vector<float> read(const void* device, int64_t n, DType dtype) {
  std::vector<float> out(static_cast<size_t>(n));
  if (dtype == DType::f32) {
    simt::copy_out(out.data(), device, out.size() * sizeof(float));
    return out;
  }
  std::vector<uint16_t> bits(out.size());
  simt::copy_out(bits.data(), device, bits.size() * sizeof(uint16_t));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = dtype == DType::bf16 ? to_float(bf16{bits[i]}) : to_float(f16{bits[i]});
  }
  return out;
}

void write(void* device, const std::vector<float>& values, DType dtype) {
  if (dtype == DType::f32) {
    simt::copy_in(device, values.data(), values.size() * sizeof(float));
    return;
  }
  std::vector<uint16_t> bits;
  for (const float v : values)
    bits.push_back(dtype == DType::bf16 ? to_bf16(v).bits : to_f16(v).bits);
  simt::copy_in(device, bits.data(), bits.size() * sizeof(uint16_t));
}

// Calls f(index of x, of the weights, of y) for each product.
template <class F>
void for_each_product(const ConvShape& s, const F& f) {
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t i = 0; i < s.ho; ++i)
      for (int64_t j = 0; j < s.wo; ++j)
        for (int64_t r = 0; r < s.kh; ++r)
          for (int64_t t = 0; t < s.kw; ++t) {
            const int64_t row = i * s.stride - s.top + r * s.dilation;
            const int64_t column = j * s.stride - s.left + t * s.dilation;
            if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
            for (int64_t o = 0; o < s.co; ++o)
              for (int64_t c = 0; c < s.ci; ++c) {
                f(((n * s.h + row) * s.w + column) * s.ci + c,
                  ((o * s.kh + r) * s.kw + t) * s.ci + c, ((n * s.ho + i) * s.wo + j) * s.co + o);
              }
          }
}

void compute(ConvPass pass, const ConvShape& s, const void* first, const void* second, void* result,
             void* workspace) {
  const int64_t xs = s.n * s.h * s.w * s.ci, ws = s.co * s.kh * s.kw * s.ci;
  const int64_t ys = s.n * s.ho * s.wo * s.co;
  const std::vector<uint8_t> marks(kWorkspace, 1);
  simt::copy_in(workspace, marks.data(), marks.size());
  const auto a = read(first, pass == ConvPass::forward ? xs : ys, s.dtype);
  const auto b = read(second, pass == ConvPass::weights ? xs : ws, s.dtype);
  const int64_t size = pass == ConvPass::forward ? ys : pass == ConvPass::data ? xs : ws;
  std::vector<double> sums(static_cast<size_t>(size));
  for_each_product(s, [&](int64_t x, int64_t w, int64_t y) {
    const auto at = [](int64_t i) { return static_cast<size_t>(i); };
    switch (pass) {
      case ConvPass::forward: sums[at(y)] += static_cast<double>(a[at(x)]) * b[at(w)]; break;
      case ConvPass::data: sums[at(x)] += static_cast<double>(a[at(y)]) * b[at(w)]; break;
      case ConvPass::weights: sums[at(w)] += static_cast<double>(a[at(y)]) * b[at(x)]; break;
    }
  });
  write(result, {sums.begin(), sums.end()}, s.dtype);
}

void run(ConvVendor vendor, ConvPass pass, const ConvShape& shape, bool, const void* first,
         const void* second, void* result, void* workspace) {
  const Queue queue = static_cast<Vendor*>(vendor.handle)->queue;
  LaunchScope scope(queue, {"cuDNN, emulated", kNoGrid, kNoGrid, 0, shape.cost()});
  simt::queue_work(stream_of(queue),
                   [=] { compute(pass, shape, first, second, result, workspace); });
  scope.done();
}

const Provide<conv_vendor_version> provide_version{version};
const Provide<make_conv_vendor> provide_make{make};
const Provide<free_conv_vendor> provide_free{free_vendor};
const Provide<plan_conv_vendor> provide_plan{workspace_of};
const Provide<run_conv_vendor> provide_run{run};

}  // namespace
}  // namespace gliograd::kernels
