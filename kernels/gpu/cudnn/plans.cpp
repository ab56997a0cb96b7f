#include "kernels/gpu/cudnn/plans.hpp"

#include <algorithm>

namespace gliograd::kernels::cudnn {
namespace {

cudnnDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return CUDNN_DATA_FLOAT;
    case DType::bf16: return CUDNN_DATA_BFLOAT16;
    case DType::f16: return CUDNN_DATA_HALF;
    default: throw DeviceError("cuDNN: convolutions are f32, bf16 or f16");
  }
}

// cuDNN lists dimensions as N, C, H, W; the strides say that C lies innermost.
Descriptor tensor(int64_t id, const std::vector<int64_t>& d, DType dtype, bool in_memory = true) {
  Descriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type_of(dtype))
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, d)
      .set(CUDNN_ATTR_TENSOR_STRIDES,
           std::vector<int64_t>{d[1] * d[2] * d[3], 1, d[1] * d[3], d[1]})
      .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, int64_t{16})
      .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, !in_memory);
  t.finalize();
  return t;
}

// Zeros behind the image: as many as the last window reaches, which may be fewer than were asked
// for.
int64_t padding_behind(int64_t size, int64_t before, int64_t taps, int64_t out,
                       const ConvShape& s) {
  const int64_t reached = (out - 1) * s.stride + s.dilation * (taps - 1) + 1;
  return std::max<int64_t>(0, reached - before - size);
}

Descriptor convolution(const ConvShape& s) {
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  Descriptor conv(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  conv.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2})
      .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode)
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, std::vector<int64_t>{s.top, s.left})
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS,
           std::vector<int64_t>{padding_behind(s.h, s.top, s.kh, s.ho, s),
                                padding_behind(s.w, s.left, s.kw, s.wo, s)})
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, std::vector<int64_t>{s.dilation, s.dilation})
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, std::vector<int64_t>{s.stride, s.stride});
  conv.finalize();
  return conv;
}

// The attributes of the three kinds of operation.
struct OperationNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t alpha, beta, conv, w, x, y;
};
OperationNames names_of(ConvPass pass) {
  switch (pass) {
    case ConvPass::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
    case ConvPass::data:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
    case ConvPass::weights: break;
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
}

// y = sum + bias.
Descriptor added_bias(const Descriptor& sum, const Descriptor& bias, const Descriptor& y) {
  const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
  Descriptor add(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  add.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode)
      .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  add.finalize();
  Descriptor operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, add)
      .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, sum)
      .set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, bias)
      .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  operation.finalize();
  return operation;
}

PlanFacts facts_of(const Descriptor& config) {
  const Descriptor engine =
      config.children(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1).at(0);
  PlanFacts facts;
  facts.engine = engine.integer(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  facts.name = "engine " + std::to_string(facts.engine) + ":";
  for (const Descriptor& choice :
       config.children(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR,
                       CUDNN_KNOB_TYPE_COUNTS)) {
    const auto knob = choice.list<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE,
                                                          CUDNN_TYPE_KNOB_TYPE, 1);
    facts.name += " " + std::to_string(static_cast<int>(knob.at(0))) + "=" +
                  std::to_string(choice.integer(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
  }
  const auto notes = engine.list<cudnnBackendNumericalNote_t>(
      CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  const auto has = [&](cudnnBackendNumericalNote_t note) {
    return std::find(notes.begin(), notes.end(), note) != notes.end();
  };
  facts.tensor_cores = has(CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
  facts.deterministic = !has(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
  return facts;
}

std::vector<Descriptor> configurations(const Target& target, const Descriptor& graph,
                                       cudnnBackendHeurMode_t mode) {
  Descriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  if (target.device != nullptr) heuristic.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.device);
  heuristic.finalize();
  const int64_t most =
      heuristic.count(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR);
  return heuristic.children(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
                            most);
}

std::optional<Descriptor> plan_of(const Target& target, const Descriptor& config) {
  Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
  if (target.device != nullptr) {
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.device);
  } else {
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &target.handle);
  }
  // A configuration that this GPU does not take is no error: the next one is asked.
  if (cudnnBackendFinalize(plan.raw()) != CUDNN_STATUS_SUCCESS) return std::nullopt;
  return plan;
}

}  // namespace

Descriptor device_description(const std::string& json) {
  Descriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  device.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
             static_cast<int64_t>(json.size()), json.data());
  device.finalize();
  return device;
}

Descriptor conv_graph(const Target& target, ConvPass pass, const ConvShape& s) {
  const OperationNames names = names_of(pass);
  const bool bias = pass == ConvPass::forward && s.bias;
  const Descriptor y = tensor(kY, {s.n, s.co, s.ho, s.wo}, s.dtype);
  const Descriptor product = bias ? tensor(kSum, {s.n, s.co, s.ho, s.wo}, DType::f32, false) : y;
  Descriptor operation(names.type);
  operation.set(names.alpha, 1.0f)
      .set(names.beta, 0.0f)
      .set(names.conv, convolution(s))
      .set(names.w, tensor(kWeights, {s.co, s.ci / s.groups, s.kh, s.kw}, s.dtype))
      .set(names.x, tensor(kX, {s.n, s.ci, s.h, s.w}, s.dtype))
      .set(names.y, product);
  operation.finalize();
  std::vector<Descriptor> operations = {operation};
  if (bias) operations.push_back(added_bias(product, tensor(kBias, {1, s.co, 1, 1}, s.dtype), y));
  std::vector<void*> raw;
  for (const Descriptor& one : operations) raw.push_back(one.raw());
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
            static_cast<int64_t>(raw.size()), raw.data());
  if (target.handle != nullptr) {
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &target.handle);
  }
  graph.finalize();
  return graph;
}

PlanRules rules_for(const ConvShape& s, bool deterministic) {
  const int64_t size = s.dtype == DType::f32 ? 4 : 2;
  const int64_t weights = s.co * s.kh * s.kw * (s.ci / s.groups) * size;
  const bool wide = s.dtype == DType::f32 && !s.tf32;
  return {.tensor_cores = wide ? TensorCores::forbidden : TensorCores::needed,
          .deterministic = deterministic,
          .most_workspace = (int64_t{8} << 20) + 3 * weights};
}

std::vector<Plan> find_plans(const Target& target, const Descriptor& graph, const PlanRules& rules,
                             int most, const std::string& name) {
  std::vector<Plan> plans;
  for (const cudnnBackendHeurMode_t mode :
       {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
    for (const Descriptor& config : configurations(target, graph, mode)) {
      PlanFacts facts = facts_of(config);
      const bool right_cores = rules.tensor_cores == TensorCores::either ||
                               facts.tensor_cores == (rules.tensor_cores == TensorCores::needed);
      if (!right_cores || (rules.deterministic && !facts.deterministic)) continue;
      const bool known = std::any_of(plans.begin(), plans.end(),
                                     [&](const Plan& one) { return one.facts.name == facts.name; });
      if (known || (!name.empty() && facts.name != name)) continue;
      std::optional<Descriptor> plan = plan_of(target, config);
      if (!plan) continue;
      facts.workspace = plan->integer(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
      if (facts.workspace > rules.most_workspace) continue;
      plans.push_back({std::move(*plan), facts});
      if (!name.empty() || static_cast<int>(plans.size()) >= most) return plans;
    }
  }
  return plans;
}

std::optional<Plan> find_plan(const Target& target, const Descriptor& graph,
                              const PlanRules& rules) {
  std::vector<Plan> plans = find_plans(target, graph, rules, 1);
  if (plans.empty()) return std::nullopt;
  return std::move(plans.front());
}

}  // namespace gliograd::kernels::cudnn
