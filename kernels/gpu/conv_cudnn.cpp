// Convolution through cuDNN: a handle a queue, a plan for each pass and shape.
#include <tuple>

#include "kernels/conv.hpp"
#include "kernels/gpu/cudnn/plans.hpp"
#include "kernels/gpu/plan_table.hpp"
#include "kernels/gpu/queue.hpp"

namespace gliograd::kernels {
namespace {

using cudnn::check;
using cudnn::Descriptor;
using cudnn::Plan;

struct Vendor {
  explicit Vendor(Queue of) : queue(of) {
    check(cudnnCreate(&handle), "handle");
    check(cudnnSetStream(handle, stream_of(queue)), "stream");
  }
  ~Vendor() { cudnnDestroy(handle); }
  Vendor(const Vendor&) = delete;
  Vendor& operator=(const Vendor&) = delete;

  using Key = std::tuple<ConvPass, bool, ConvShape>;

  auto finder(ConvPass pass, const ConvShape& shape, bool deterministic) const {
    return [=, this](int most, const std::string& name) {
      const cudnn::Target target{.handle = handle, .device = nullptr};
      const Descriptor graph = cudnn::conv_graph(target, pass, shape);
      return cudnn::find_plans(target, graph, cudnn::rules_for(shape, deterministic), most, name);
    };
  }
  const std::optional<Plan>& plan(ConvPass pass, const ConvShape& shape, bool deterministic) {
    return plans.plan({pass, deterministic, shape}, finder(pass, shape, deterministic));
  }

  Queue queue;
  cudnnHandle_t handle = nullptr;
  PlanTable<Key, Plan> plans;
};

Vendor& vendor_of(ConvVendor vendor) { return *static_cast<Vendor*>(vendor.handle); }

ConvVendorVersion version() { return {CUDNN_VERSION, static_cast<int64_t>(cudnnGetVersion())}; }
ConvVendor make(Queue queue) { return {new Vendor(queue)}; }
void free_vendor(ConvVendor vendor) { delete static_cast<Vendor*>(vendor.handle); }

int64_t workspace_of(ConvVendor vendor, ConvPass pass, const ConvShape& shape, bool deterministic) {
  const std::optional<Plan>& plan = vendor_of(vendor).plan(pass, shape, deterministic);
  return plan ? plan->facts.workspace : -1;
}

std::vector<VendorPlan> list(ConvVendor vendor, ConvPass pass, const ConvShape& shape,
                             bool deterministic, int most) {
  Vendor& own = vendor_of(vendor);
  std::vector<VendorPlan> all;
  for (const Plan& plan :
       own.plans.list({pass, deterministic, shape}, own.finder(pass, shape, deterministic), most)) {
    all.push_back({plan.facts.name, plan.facts.workspace});
  }
  return all;
}

bool take(ConvVendor vendor, ConvPass pass, const ConvShape& shape, bool deterministic,
          const std::string& name) {
  Vendor& own = vendor_of(vendor);
  return own.plans.take({pass, deterministic, shape}, own.finder(pass, shape, deterministic), name);
}

void run(ConvVendor vendor, ConvPass pass, const ConvShape& shape, bool deterministic,
         const void* first, const void* second, const void* bias, void* result, void* workspace) {
  Vendor& own = vendor_of(vendor);
  const std::optional<Plan>& plan = own.plan(pass, shape, deterministic);
  if (!plan) throw DeviceError("cuDNN: no plan serves this convolution");
  using cudnn::kBias;
  using cudnn::kWeights;
  using cudnn::kX;
  using cudnn::kY;
  // first and second as ConvPass names them, then the result.
  const int64_t ids[4] = {pass == ConvPass::forward ? kX : kY,
                          pass == ConvPass::weights ? kX : kWeights,
                          pass == ConvPass::forward ? kY
                          : pass == ConvPass::data  ? kX
                                                    : kWeights,
                          kBias};
  const void* const data[4] = {first, second, result, bias};
  const int64_t count = pass == ConvPass::forward && shape.bias ? 4 : 3;
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids)
      .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, data)
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
  pack.finalize();
  const std::string name = "cuDNN engine " + std::to_string(plan->facts.engine);
  LaunchScope scope(own.queue, {name.c_str(), kNoGrid, kNoGrid, 0, shape.cost()});
  check(cudnnBackendExecute(own.handle, plan->plan.raw(), pack.raw()), "convolution");
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
