// cuDNN's place on the emulated GPU: plain products over the same layouts, with a workspace that
// has to be there. It serves what the real one would: 16-bit types with channels in multiples of 8,
// f32 with multiples of 4, no depthwise.
#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <tuple>

#include "kernels/conv.hpp"
#include "kernels/gpu/queue.hpp"
#include "tests/simt/device_values.hpp"
#include "tests/simt/runtime.hpp"

namespace gliograd::simt {
namespace {

std::array<std::atomic<double>, 3> plan_delays{};

}  // namespace

void set_plan_delays(const std::array<double, 3>& ms) {
  for (size_t i = 0; i < ms.size(); ++i) plan_delays[i] = ms[i];
}
double plan_delay(size_t plan) { return plan_delays[plan]; }

}  // namespace gliograd::simt

namespace gliograd::kernels {
namespace {

constexpr int64_t kWorkspace = 512;

// Three plans that compute alike; tests make some of them slow (simt::set_plan_delays).
constexpr const char* kPlans[] = {"engine 1: a", "engine 2: b", "engine 3: c"};

using simt::read_values;
using simt::round_to_tf32;
using simt::write_values;

struct Vendor {
  Queue queue;
  std::map<std::tuple<ConvPass, ConvShape>, size_t> taken;
};

ConvVendorVersion version() { return {}; }
ConvVendor make(Queue queue) { return {new Vendor{queue, {}}}; }
void free_vendor(ConvVendor vendor) { delete static_cast<Vendor*>(vendor.handle); }

int64_t workspace_of(ConvVendor, ConvPass, const ConvShape& s, bool) {
  const int64_t multiple = s.dtype == DType::f32 ? 4 : 8;
  return s.groups == 1 && s.ci % multiple == 0 && s.co % multiple == 0 ? kWorkspace : -1;
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

void compute(ConvPass pass, const ConvShape& s, const void* first, const void* second,
             const void* bias, void* result, void* workspace) {
  const int64_t xs = s.n * s.h * s.w * s.ci, ws = s.co * s.kh * s.kw * s.ci;
  const int64_t ys = s.n * s.ho * s.wo * s.co;
  const std::vector<uint8_t> marks(kWorkspace, 1);
  simt::copy_in(workspace, marks.data(), marks.size());
  auto a = read_values(first, pass == ConvPass::forward ? xs : ys, s.dtype);
  auto b = read_values(second, pass == ConvPass::weights ? xs : ws, s.dtype);
  if (s.tf32) round_to_tf32(a), round_to_tf32(b);
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
  if (pass == ConvPass::forward && s.bias) {
    const auto added = read_values(bias, s.co, s.dtype);
    for (size_t y = 0; y < sums.size(); ++y) sums[y] += added[y % added.size()];
  }
  write_values(result, {sums.begin(), sums.end()}, s.dtype);
}

std::vector<ConvPlan> list(ConvVendor vendor, ConvPass pass, const ConvShape& shape, bool fixed,
                           int most) {
  std::vector<ConvPlan> plans;
  if (workspace_of(vendor, pass, shape, fixed) < 0) return plans;
  for (const char* name : kPlans) {
    if (static_cast<int>(plans.size()) < most) plans.push_back({name, kWorkspace});
  }
  return plans;
}

bool take(ConvVendor vendor, ConvPass pass, const ConvShape& shape, bool, const std::string& name) {
  const auto* found = std::find(std::begin(kPlans), std::end(kPlans), name);
  if (found == std::end(kPlans)) return false;
  static_cast<Vendor*>(vendor.handle)->taken[{pass, shape}] =
      static_cast<size_t>(found - std::begin(kPlans));
  return true;
}

void run(ConvVendor vendor, ConvPass pass, const ConvShape& shape, bool, const void* first,
         const void* second, const void* bias, void* result, void* workspace) {
  const Vendor& own = *static_cast<Vendor*>(vendor.handle);
  const Queue queue = own.queue;
  const auto plan = own.taken.find({pass, shape});
  const double delay = simt::plan_delay(plan == own.taken.end() ? 0 : plan->second);
  if (delay < 0) throw DeviceError("cuDNN, emulated: this plan does not run");
  LaunchScope scope(queue, {"cuDNN, emulated", kNoGrid, kNoGrid, 0, shape.cost()});
  simt::queue_work(stream_of(queue), [=] {
    simt::advance_clock(delay);
    compute(pass, shape, first, second, bias, result, workspace);
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
