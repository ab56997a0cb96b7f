// cuDNN's place on the emulated GPU: plain products over the same layouts, with a workspace that
// has to be there. It serves what the real one would: 16-bit types with channels in multiples of 8,
// f32 with multiples of 4, no depthwise.
#include <numeric>
#include <tuple>

#include "kernels/conv.hpp"
#include "kernels/gpu/queue.hpp"
#include "tests/simt/device_values.hpp"
#include "tests/simt/runtime.hpp"
#include "tests/simt/vendor_plans.hpp"

namespace gliograd::kernels {
namespace {

constexpr int64_t kWorkspace = 512;

using simt::read_values;
using simt::round_to_tf32;
using simt::write_values;

struct Vendor {
  Queue queue;
  simt::TakenPlans<std::tuple<ConvPass, ConvShape>> taken;
};

ConvVendorVersion version() { return {}; }
ConvVendor make(Queue queue) { return {new Vendor{queue, {}}}; }
void free_vendor(ConvVendor vendor) { delete static_cast<Vendor*>(vendor.handle); }

int64_t workspace_of(ConvVendor, ConvPass, const ConvShape& s, bool) {
  const int64_t multiple = s.dtype == DType::f32 ? 4 : 8;
  if (s.bias && !simt::serves_epilogue()) return -1;
  return s.groups == 1 && s.ci % multiple == 0 && s.co % multiple == 0 ? kWorkspace : -1;
}

// Calls f(first index of a pixel of x, of a tap of output channel 0 of the weights, of a pixel of
// y) for each tap that lies inside the image.
template <class F>
void for_each_tap(const ConvShape& s, const F& f) {
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t i = 0; i < s.ho; ++i)
      for (int64_t j = 0; j < s.wo; ++j)
        for (int64_t r = 0; r < s.kh; ++r)
          for (int64_t t = 0; t < s.kw; ++t) {
            const int64_t row = i * s.stride - s.top + r * s.dilation;
            const int64_t column = j * s.stride - s.left + t * s.dilation;
            if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
            f(((n * s.h + row) * s.w + column) * s.ci, (r * s.kw + t) * s.ci,
              ((n * s.ho + i) * s.wo + j) * s.co);
          }
}

// Of a pass, `size` sums over the products of its operands.
std::vector<double> sums_of(ConvPass pass, const ConvShape& s, const double* first,
                            const double* second, int64_t size) {
  std::vector<double> all(static_cast<size_t>(size));
  double* const sums = all.data();
  const auto add_row = [&](double* to, double factor, const double* from) {
    for (int64_t c = 0; c < s.ci; ++c) to[c] += factor * from[c];
  };
  for_each_tap(s, [&](int64_t x, int64_t tap, int64_t y) {
    for (int64_t o = 0; o < s.co; ++o) {
      const int64_t w = tap + o * s.kh * s.kw * s.ci;
      switch (pass) {
        case ConvPass::forward:
          sums[y + o] = std::inner_product(first + x, first + x + s.ci, second + w, sums[y + o]);
          break;
        case ConvPass::data: add_row(sums + x, first[y + o], second + w); break;
        case ConvPass::weights: add_row(sums + w, first[y + o], second + x); break;
      }
    }
  });
  return all;
}

void compute(ConvPass pass, const ConvShape& s, const void* first, const void* second,
             const void* bias, void* result, void* workspace, size_t plan) {
  const int64_t xs = s.n * s.h * s.w * s.ci, ws = s.co * s.kh * s.kw * s.ci;
  const int64_t ys = s.n * s.ho * s.wo * s.co;
  const std::vector<uint8_t> marks(kWorkspace, 1);
  simt::copy_in(workspace, marks.data(), marks.size());
  auto a = read_values(first, pass == ConvPass::forward ? xs : ys, s.dtype);
  auto b = read_values(second, pass == ConvPass::weights ? xs : ws, s.dtype);
  if (s.tf32) round_to_tf32(a), round_to_tf32(b);
  const int64_t size = pass == ConvPass::forward ? ys : pass == ConvPass::data ? xs : ws;
  const std::vector<double> p(a.begin(), a.end()), q(b.begin(), b.end());  // widened once
  std::vector<double> sums = sums_of(pass, s, p.data(), q.data(), size);
  if (pass == ConvPass::forward && s.bias) {
    const auto added = read_values(bias, s.co, s.dtype);
    for (size_t y = 0; y < sums.size(); ++y) sums[y] += added[y % added.size()];
  }
  for (double& sum : sums) sum = simt::rounded_by(plan, sum);
  write_values(result, {sums.begin(), sums.end()}, s.dtype);
}

std::vector<VendorPlan> list(ConvVendor vendor, ConvPass pass, const ConvShape& shape, bool fixed,
                             int most) {
  return simt::plans(workspace_of(vendor, pass, shape, fixed), most);
}

bool take(ConvVendor vendor, ConvPass pass, const ConvShape& shape, bool fixed,
          const std::string& name) {
  if (workspace_of(vendor, pass, shape, fixed) < 0) return false;
  return static_cast<Vendor*>(vendor.handle)->taken.take({pass, shape}, name);
}

void run(ConvVendor vendor, ConvPass pass, const ConvShape& shape, bool, const void* first,
         const void* second, const void* bias, void* result, void* workspace) {
  const Vendor& own = *static_cast<Vendor*>(vendor.handle);
  const Queue queue = own.queue;
  const size_t plan = own.taken.of({pass, shape});
  const double delay = simt::plan_delay(plan, shape.bias);
  if (delay < 0) throw DeviceError("cuDNN, emulated: this plan does not run");
  LaunchScope scope(queue, {"cuDNN, emulated", kNoGrid, kNoGrid, 0, shape.cost()});
  simt::queue_work(stream_of(queue), [=] {
    simt::advance_clock(delay);
    compute(pass, shape, first, second, bias, result, workspace, plan);
  });
  scope.done();
}

const Provide<conv_vendor_version> provide_version{version};
const Provide<make_conv_vendor> provide_make{make};
const Provide<free_conv_vendor> provide_free{free_vendor};
const Provide<plan_conv_vendor> provide_plan{workspace_of};
const Provide<list_conv_plans> provide_list{list};
const Provide<take_conv_plan> provide_take{take};
const Provide<run_conv_vendor> provide_run{run};

}  // namespace
}  // namespace gliograd::kernels
