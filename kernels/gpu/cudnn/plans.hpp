// Which of cuDNN's plans computes a convolution. Its heuristics' first answer may convert whole
// tensors to another layout, or leave the tensor cores idle, so their lists are joined and
// searched. A plan can be made for a GPU that is not there, from its description.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "kernels/conv.hpp"
#include "kernels/gpu/cudnn/descriptor.hpp"

namespace gliograd::kernels::cudnn {

/// Names of the tensors in a convolution's graph: for the data to execute it with.
enum TensorId : int64_t { kX = 1, kWeights = 2, kY = 3, kBias = 4, kSum = 5 };

/// Who the plan is for: a handle of a GPU that is here, or a description of one.
struct Target {
  cudnnHandle_t handle = nullptr;
  const Descriptor* device = nullptr;
};

/// A GPU by the 23 numbers that cuDNN asks for, as JSON.
Descriptor device_description(const std::string& json);

/// The graph of one pass; NHWC, all tensors of shape.dtype and aligned to 16 bytes, f32 sums. A
/// bias is added to those sums (kSum, in no memory) in the same kernel.
Descriptor conv_graph(const Target& target, ConvPass pass, const ConvShape& shape);

struct PlanFacts {
  int64_t engine = 0;
  std::string name;       // "engine 62: 5=1 18=3", the knobs by cuDNN's numbers
  int64_t workspace = 0;  // bytes
  bool tensor_cores = false;
  bool deterministic = true;
};

struct Plan {
  Descriptor plan;
  PlanFacts facts;
};

enum class TensorCores : uint8_t {
  needed,     // 16-bit types are slow without
  forbidden,  // f32, unless TF32 was asked for: they would round its factors to 10 bits
  either,
};

struct PlanRules {
  TensorCores tensor_cores = TensorCores::either;
  bool deterministic = false;
  int64_t most_workspace = 0;  // bytes; more betrays a layout conversion
};
/// 8 MiB and three times the weights; tensor cores for 16-bit types and TF32 alone.
PlanRules rules_for(const ConvShape& shape, bool deterministic);

/// The first `most` plans in the order of the heuristics (A, then B, then fallback) that keep the
/// rules, no two alike. With a `name`: that one alone.
std::vector<Plan> find_plans(const Target& target, const Descriptor& graph, const PlanRules& rules,
                             int most, const std::string& name = "");
/// The first of them.
std::optional<Plan> find_plan(const Target& target, const Descriptor& graph,
                              const PlanRules& rules);

}  // namespace gliograd::kernels::cudnn
