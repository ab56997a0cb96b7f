// In place of linear_cublaslt.cpp where there is no cuBLASLt: nothing is served.
#include "kernels/linear.hpp"

namespace gliograd::kernels {
namespace {

LinearVendor make(Queue) { return {}; }
void free_vendor(LinearVendor) {}
int64_t version() { return 0; }
int64_t workspace_of(LinearVendor, LinearPass, const LinearShape&) { return -1; }
std::vector<VendorPlan> list(LinearVendor, LinearPass, const LinearShape&, int) { return {}; }
bool take(LinearVendor, LinearPass, const LinearShape&, const std::string&) { return false; }
void run(LinearVendor, LinearPass, const LinearShape&, const void*, const void*, const void*, void*,
         void*) {
  throw DeviceError("built without cuBLASLt");
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
