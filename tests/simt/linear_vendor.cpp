// cuBLASLt's place on the emulated GPU: plain products over the same matrices, with a workspace
// that has to be there. It serves rows of whole 16 bytes, where the real one has tensor cores.
#include <tuple>

#include "kernels/elementwise.hpp"
#include "kernels/gpu/queue.hpp"
#include "kernels/linear.hpp"
#include "tests/simt/device_values.hpp"
#include "tests/simt/runtime.hpp"
#include "tests/simt/vendor_plans.hpp"

namespace gliograd::kernels {
namespace {

using simt::read_values;
using simt::round_to_tf32;
using simt::write_values;

constexpr int64_t kWorkspace = 256;

struct Vendor {
  Queue queue;
  simt::TakenPlans<std::tuple<LinearPass, LinearShape>> taken;
};

LinearVendor make(Queue queue) { return {new Vendor{queue, {}}}; }
void free_vendor(LinearVendor vendor) { delete static_cast<Vendor*>(vendor.handle); }
int64_t version() { return 0; }

int64_t workspace_of(LinearVendor, LinearPass, const LinearShape& s) {
  const int64_t multiple = s.dtype == DType::f32 ? 4 : 8;
  if ((s.bias || s.relu) && !simt::serves_epilogue()) return -1;
  return s.in % multiple == 0 && s.out % multiple == 0 ? kWorkspace : -1;
}

void compute(LinearPass pass, const LinearShape& s, const void* first, const void* second,
             const void* bias, void* result, void* workspace, size_t plan) {
  const std::vector<uint8_t> marks(kWorkspace, 1);
  simt::copy_in(workspace, marks.data(), marks.size());
  const bool forward = pass == LinearPass::forward;
  auto a = read_values(first, s.n * (forward ? s.in : s.out), s.dtype);
  auto b = read_values(second, pass == LinearPass::weights ? s.n * s.in : s.out * s.in, s.dtype);
  if (s.tf32) round_to_tf32(a), round_to_tf32(b);
  const int64_t size = forward ? s.n * s.out : pass == LinearPass::data ? s.n * s.in : s.out * s.in;
  std::vector<double> sums(static_cast<size_t>(size));
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t o = 0; o < s.out; ++o)
      for (int64_t i = 0; i < s.in; ++i) {
        const auto x = static_cast<size_t>(n * s.in + i), y = static_cast<size_t>(n * s.out + o);
        const auto w = static_cast<size_t>(o * s.in + i);
        switch (pass) {
          case LinearPass::forward: sums[y] += static_cast<double>(a[x]) * b[w]; break;
          case LinearPass::data: sums[x] += static_cast<double>(a[y]) * b[w]; break;
          case LinearPass::weights: sums[w] += static_cast<double>(a[y]) * b[x]; break;
        }
      }
  if (forward && s.bias) {
    const auto added = read_values(bias, s.out, s.dtype);
    for (size_t y = 0; y < sums.size(); ++y) sums[y] += added[y % added.size()];
  }
  for (double& sum : sums) {
    sum = simt::rounded_by(plan, sum);
    if (forward && s.relu) sum = elementwise::Relu::value(sum, 0.0);
  }
  write_values(result, {sums.begin(), sums.end()},
               pass == LinearPass::weights ? DType::f32 : s.dtype);
}

std::vector<VendorPlan> list(LinearVendor vendor, LinearPass pass, const LinearShape& shape,
                             int most) {
  return simt::plans(workspace_of(vendor, pass, shape), most);
}

bool take(LinearVendor vendor, LinearPass pass, const LinearShape& shape, const std::string& name) {
  if (workspace_of(vendor, pass, shape) < 0) return false;
  return static_cast<Vendor*>(vendor.handle)->taken.take({pass, shape}, name);
}

void run(LinearVendor vendor, LinearPass pass, const LinearShape& shape, const void* first,
         const void* second, const void* bias, void* result, void* workspace) {
  const Vendor& own = *static_cast<Vendor*>(vendor.handle);
  const Queue queue = own.queue;
  const size_t plan = own.taken.of({pass, shape});
  const double delay = simt::plan_delay(plan, shape.bias || shape.relu);
  if (delay < 0) throw DeviceError("cuBLASLt, emulated: this plan does not run");
  LaunchScope scope(queue, {"cuBLASLt, emulated", kNoGrid, kNoGrid, 0, shape.cost()});
  simt::queue_work(stream_of(queue), [=] {
    simt::advance_clock(delay);
    compute(pass, shape, first, second, bias, result, workspace, plan);
  });
  scope.done();
}

const Provide<make_linear_vendor> provide_make{make};
const Provide<free_linear_vendor> provide_free{free_vendor};
const Provide<linear_vendor_version> provide_version{version};
const Provide<plan_linear_vendor> provide_plan{workspace_of};
const Provide<list_linear_plans> provide_list{list};
const Provide<take_linear_plan> provide_take{take};
const Provide<run_linear_vendor> provide_run{run};

}  // namespace
}  // namespace gliograd::kernels
