// In place of conv_cudnn.cpp where there is no cuDNN: nothing is served.
#include "kernels/conv.hpp"

namespace gliograd::kernels {
namespace {

ConvVendorVersion version() { return {}; }
ConvVendor make(Queue) { return {}; }
void free_vendor(ConvVendor) {}
int64_t workspace_of(ConvVendor, ConvPass, const ConvShape&, bool) { return -1; }
std::vector<VendorPlan> list(ConvVendor, ConvPass, const ConvShape&, bool, int) { return {}; }
bool take(ConvVendor, ConvPass, const ConvShape&, bool, const std::string&) { return false; }
void run(ConvVendor, ConvPass, const ConvShape&, bool, const void*, const void*, const void*, void*,
         void*) {
  throw DeviceError("built without cuDNN");
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
