// cuDNN's plans without a GPU: it plans for one from its description, so each convolution of the
// project's networks can be asked for on any machine: is there a plan that uses tensor cores,
// converts no layout, and, where wanted, gives the same bits each time?
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "kernels/gpu/cudnn/plans.hpp"

using namespace gliograd;
using namespace gliograd::kernels;

namespace {

// Compute capability 9.0: its published limits, and the clocks and sizes of an H200's data sheet.
const char* const kH200 = R"({"cudaDeviceId": 0, "deviceVer": 900, "driverVer": 13000,
  "multiProcessorCount": 132, "warpSize": 32, "maxGridSize": [2147483647, 65535, 65535],
  "maxBlockSize": [1024, 1024, 64], "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048,
  "maxCtasPerSM": 32, "regsPerBlock": 65536, "maxRegistersPerSM": 65536,
  "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448,
  "reservedSharedMemoryPerBlock": 1024, "pciDeviceId": 0, "isTccDriver": 0, "supportCoopLaunch": 1,
  "smClockRateKHz": 1980000, "memClockRateKHz": 3201000, "l2CacheSize": 62914560,
  "totalGlobalMem": 150754820096, "deviceName": "sm_90"})";

struct Layer {
  std::string name;
  ConvShape shape;
};

ConvShape square(int64_t n, int64_t size, int64_t ci, int64_t co, int64_t kernel, int64_t stride) {
  ConvShape s;
  s.n = n;
  s.h = s.w = size;
  s.ci = ci;
  s.co = co;
  s.kh = s.kw = kernel;
  s.stride = stride;
  s.top = s.left = kernel / 2;
  s.ho = s.wo = (size + 2 * (kernel / 2) - kernel) / stride + 1;
  return s;
}

// SubtypeNet's: four stages, one convolution each, halved in between. The image has 8 channels.
std::vector<Layer> subtype_net(int64_t batch, int64_t size) {
  std::vector<Layer> layers;
  int64_t ci = 8, side = size;
  for (const int64_t co : {16, 32, 64, 96}) {
    layers.push_back({"subtype " + std::to_string(size) + ", " + std::to_string(ci) + " to " +
                          std::to_string(co),
                      square(batch, side, ci, co, 3, 1)});
    ci = co;
    side /= 2;
  }
  return layers;
}

// Two basic blocks a stage, with a 1x1 shortcut where the width or the size changes.
std::vector<Layer> residual(const std::string& name, int64_t batch, int64_t side,
                            const std::vector<int64_t>& widths, int64_t ci) {
  std::vector<Layer> layers;
  const auto add = [&](int64_t size, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
    layers.push_back({name + ", " + std::to_string(size) + ": " + std::to_string(in) + " to " +
                          std::to_string(out) + ", " + std::to_string(kernel) + "x" +
                          std::to_string(kernel) + " / " + std::to_string(stride),
                      square(batch, size, in, out, kernel, stride)});
  };
  for (size_t stage = 0; stage < widths.size(); ++stage) {
    const int64_t stride = stage == 0 ? 1 : 2, co = widths[stage];
    add(side, ci, co, 3, stride);
    if (stride != 1 || ci != co) add(side, ci, co, 1, stride);
    side /= stride;
    add(side, co, co, 3, 1);
    ci = co;
  }
  return layers;
}

std::vector<Layer> all_layers() {
  std::vector<Layer> layers;
  const auto take = [&](const std::vector<Layer>& more) {
    layers.insert(layers.end(), more.begin(), more.end());
  };
  for (const int64_t size : {80, 128}) {
    take(subtype_net(32, size));
    layers.push_back({"subtype-large stem " + std::to_string(size), square(32, size, 8, 32, 3, 1)});
    take(residual("subtype-large " + std::to_string(size), 32, size, {32, 64, 128, 256}, 32));
    take(subtype_net(64, size));
  }
  for (const int64_t size : {128, 224}) {  // whose stem and max pool leave a quarter of the side
    layers.push_back({"ResNet-18 stem " + std::to_string(size), square(128, size, 8, 64, 7, 2)});
    take(residual("ResNet-18 " + std::to_string(size), 128, size / 4, {64, 128, 256, 512}, 64));
  }
  return layers;
}

std::string name_of(ConvPass pass) {
  return pass == ConvPass::forward ? "forward" : pass == ConvPass::data ? "data" : "weights";
}

}  // namespace

TEST_CASE("cuDNN plans: every convolution has one on tensor cores that converts no layout") {
  const cudnn::Descriptor device = cudnn::device_description(kH200);
  const cudnn::Target target{.handle = nullptr, .device = &device};
  int asked = 0;
  for (const Layer& layer : all_layers()) {
    for (const DType dtype : {DType::bf16, DType::f16}) {
      ConvShape shape = layer.shape;
      shape.dtype = dtype;
      for (const ConvPass pass : {ConvPass::forward, ConvPass::data, ConvPass::weights}) {
        if (pass == ConvPass::data && shape.ci == 8) continue;  // nobody asks for the image's
        const cudnn::Descriptor graph = cudnn::conv_graph(target, pass, shape);
        for (const bool deterministic : {false, true}) {
          INFO(layer.name, ", ", dtype == DType::bf16 ? "bf16" : "f16", ", ", name_of(pass),
               deterministic ? ", deterministic" : "");
          const auto plan = cudnn::find_plan(target, graph, cudnn::rules_for(shape, deterministic));
          REQUIRE(plan.has_value());
          CHECK(plan->facts.tensor_cores);
          CHECK(plan->facts.workspace <= (8 << 20) + 6 * shape.co * shape.kh * shape.kw * shape.ci);
          CHECK((!deterministic || plan->facts.deterministic));
          ++asked;
        }
      }
    }
  }
  CHECK(asked > 600);
}

TEST_CASE("cuDNN plans: there are several to time, and each is found again by its name") {
  const cudnn::Descriptor device = cudnn::device_description(kH200);
  const cudnn::Target target{.handle = nullptr, .device = &device};
  for (const Layer& layer : subtype_net(32, 80)) {
    ConvShape shape = layer.shape;
    shape.dtype = DType::bf16;
    for (const ConvPass pass : {ConvPass::forward, ConvPass::weights}) {
      INFO(layer.name, ", ", name_of(pass));
      const cudnn::Descriptor graph = cudnn::conv_graph(target, pass, shape);
      const cudnn::PlanRules rules = cudnn::rules_for(shape, false);
      const std::vector<cudnn::Plan> plans = cudnn::find_plans(target, graph, rules, 6);
      CHECK(plans.size() >= 3);
      CHECK(plans.size() <= 6);
      CHECK(plans[0].facts.name == cudnn::find_plan(target, graph, rules)->facts.name);
      std::set<std::string> names;
      for (const cudnn::Plan& plan : plans) {
        names.insert(plan.facts.name);
        CHECK(plan.facts.name.find(',') == std::string::npos);
        const auto again = cudnn::find_plans(target, graph, rules, 1, plan.facts.name);
        REQUIRE(again.size() == 1);
        CHECK(again[0].facts.workspace == plan.facts.workspace);
      }
      CHECK(names.size() == plans.size());
    }
  }
}

TEST_CASE("cuDNN plans: a bias is added in the convolution's kernel, at no workspace more") {
  const cudnn::Descriptor device = cudnn::device_description(kH200);
  const cudnn::Target target{.handle = nullptr, .device = &device};
  for (const Layer& layer : subtype_net(32, 80)) {
    for (const DType dtype : {DType::bf16, DType::f16}) {
      ConvShape shape = layer.shape;
      shape.dtype = dtype;
      shape.bias = true;
      INFO(layer.name, ", ", dtype == DType::bf16 ? "bf16" : "f16");
      const cudnn::Descriptor graph = cudnn::conv_graph(target, ConvPass::forward, shape);
      const auto plan = cudnn::find_plan(target, graph, cudnn::rules_for(shape, true));
      REQUIRE(plan.has_value());
      CHECK(plan->facts.tensor_cores);
      CHECK(plan->facts.workspace <= (8 << 20));
    }
  }
}

TEST_CASE("cuDNN plans: where TF32 is asked for, f32 has plans on tensor cores") {
  const cudnn::Descriptor device = cudnn::device_description(kH200);
  const cudnn::Target target{.handle = nullptr, .device = &device};
  int asked = 0, served = 0;
  for (const Layer& layer : all_layers()) {
    ConvShape shape = layer.shape;
    shape.tf32 = true;
    for (const ConvPass pass : {ConvPass::forward, ConvPass::data, ConvPass::weights}) {
      if (pass == ConvPass::data && shape.ci == 8) continue;
      const cudnn::Descriptor graph = cudnn::conv_graph(target, pass, shape);
      const auto plan = cudnn::find_plan(target, graph, cudnn::rules_for(shape, true));
      ++asked;
      if (!plan) {
        MESSAGE("no plan in TF32: ", layer.name, ", ", name_of(pass));
        continue;
      }
      CHECK(plan->facts.tensor_cores);
      ++served;
    }
  }
  CHECK(served >= asked * 9 / 10);
  MESSAGE(served, " of ", asked, " passes have a plan in TF32");
}

TEST_CASE("cuDNN plans: what converts layouts, or leaves the tensor cores idle, is not taken") {
  const cudnn::Descriptor device = cudnn::device_description(kH200);
  const cudnn::Target target{.handle = nullptr, .device = &device};
  ConvShape odd = square(64, 128, 36, 36, 3, 1);  // 36 is no multiple of 8: copied, 160 MB
  odd.dtype = DType::bf16;
  const cudnn::Descriptor graph = cudnn::conv_graph(target, ConvPass::forward, odd);
  cudnn::PlanRules any{.tensor_cores = cudnn::TensorCores::either,
                       .deterministic = false,
                       .most_workspace = int64_t{1} << 40};
  const auto first = cudnn::find_plan(target, graph, any);  // the heuristics' own choice
  REQUIRE(first.has_value());
  CHECK(first->facts.workspace > 100 << 20);
  const auto kept = cudnn::find_plan(target, graph, cudnn::rules_for(odd, false));
  CHECK((!kept || kept->facts.engine != first->facts.engine));
  any.most_workspace = -1;
  CHECK(!cudnn::find_plan(target, graph, any).has_value());
}

TEST_CASE("cuDNN plans: f32 is never rounded to TF32") {
  const cudnn::Descriptor device = cudnn::device_description(kH200);
  const cudnn::Target target{.handle = nullptr, .device = &device};
  int served = 0;
  for (const Layer& layer : subtype_net(32, 80)) {
    for (const ConvPass pass : {ConvPass::forward, ConvPass::data, ConvPass::weights}) {
      const cudnn::Descriptor graph = cudnn::conv_graph(target, pass, layer.shape);
      const auto plan = cudnn::find_plan(target, graph, cudnn::rules_for(layer.shape, false));
      if (!plan) continue;  // then the own kernels compute it
      CHECK(!plan->facts.tensor_cores);
      ++served;
    }
  }
  MESSAGE(served, " of 12 passes have a plan in f32");
}

TEST_CASE("cuDNN plans: a graph that cannot be is refused in cuDNN's own words") {
  ConvShape wrong = square(1, 8, 8, 8, 3, 1);
  wrong.h = 0;
  const cudnn::Target target;
  CHECK_THROWS_WITH_AS(cudnn::conv_graph(target, ConvPass::forward, wrong),
                       doctest::Contains("cuDNN: "), DeviceError);
  CHECK_THROWS_AS(cudnn::device_description("{}"), DeviceError);
  wrong.dtype = DType::f64;
  CHECK_THROWS_AS(cudnn::conv_graph(target, ConvPass::forward, wrong), DeviceError);
}
