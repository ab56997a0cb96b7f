// Convolution on the CPU through oneDNN, f32 or bf16 (its sums and the weights' gradient f32):
// direct on NHWC or blocked images, or Winograd F(4 x 4, 3 x 3) on blocked ones. Primitives are
// made once per stream and kept under a plain key; scratchpads come from the stream's arena. What
// oneDNN would compute by its naive `ref` code is left to the own kernels.
#include <omp.h>

#include <atomic>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "engine/ops/conv_paths.hpp"

namespace gliograd::conv_paths {
namespace {

using dnnl::memory;
using tag = memory::format_tag;
using Dims = memory::dims;

// Calls oneDNN; its own words and the op, should it fail.
template <class Call>
auto checked(const Call& call) {
  try {
    return call();
  } catch (const dnnl::error& error) {
    throw WorkError(concat_text("conv: oneDNN failed with status ", static_cast<int>(error.status),
                                ": ", error.what()));
  }
}

// Bits of a primitive depend on the team it was made for, so the team's size is part of the key.
struct Key {
  Pass pass;
  DType dtype;
  Algorithm algorithm;
  bool bias;
  int threads;
  Geometry g;

  auto tie() const {
    return std::tie(pass, dtype, algorithm, bias, threads, g.n, g.h, g.w, g.ci, g.co, g.kh, g.kw,
                    g.ho, g.wo, g.stride, g.dilation, g.groups, g.pad.top, g.pad.bottom, g.pad.left,
                    g.pad.right);
  }
  bool operator<(const Key& other) const { return tie() < other.tie(); }
};

struct Plan {
  int64_t id = 0;              // one of its own in this process
  std::string implementation;  // impl_info_str; empty where oneDNN has none
  dnnl::primitive primitive;
  memory::desc x, weights, y, scratchpad;  // as the primitive wants them (or their gradients)

  bool serves() const { return !implementation.empty() && implementation.rfind("ref", 0) != 0; }
};

// What a stream keeps: made in the thread that runs it.
struct Plans {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<Key, Plan> plans;
};

memory::data_type onednn_type(DType dtype) {
  return dtype == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

memory::desc image_desc(const Key& key, int64_t c, int64_t h, int64_t w) {
  return {{key.g.n, c, h, w},
          onednn_type(key.dtype),
          layout_of(key.algorithm) == Layout::blocked16 ? tag::nChw16c : tag::nhwc};
}

Dims weight_dims(const Geometry& g) {
  if (g.groups == 1) return {g.co, g.ci, g.kh, g.kw};
  return {g.groups, g.og(), g.cg(), g.kh, g.kw};
}

// As the project holds them: [Cout, kh, kw, Cin / groups].
memory::desc plain_weights(const Geometry& g, DType dtype) {
  return {weight_dims(g), onednn_type(dtype), g.groups == 1 ? tag::ohwi : tag::gohwi};
}

memory::desc bias_desc(const Geometry& g, DType dtype) {
  return {{g.co}, onednn_type(dtype), tag::x};
}

template <class Description>
void keep(const Description& d, Plan& plan) {
  plan.implementation = d.impl_info_str();
  plan.scratchpad = d.scratchpad_desc();
}

Plan make_plan(Plans& plans, const Key& key) {
  const Geometry& g = key.g;
  const auto kind = key.algorithm == Algorithm::winograd ? dnnl::algorithm::convolution_winograd
                                                         : dnnl::algorithm::convolution_direct;
  const memory::desc x = image_desc(key, g.ci, g.h, g.w);
  const memory::desc y = image_desc(key, g.co, g.ho, g.wo);
  const memory::desc weights(weight_dims(g), onednn_type(key.dtype), tag::any);
  const memory::desc bias = key.bias ? bias_desc(g, key.dtype) : memory::desc();
  const Dims strides{g.stride, g.stride}, dilates{g.dilation - 1, g.dilation - 1};
  const Dims before{g.pad.top, g.pad.left}, after{g.pad.bottom, g.pad.right};
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  static std::atomic<int64_t> count{0};
  Plan plan;
  plan.id = ++count;
  // oneDNN 3.1 takes Winograd for unequal paddings too, and its gradient of x is wrong there.
  if (key.algorithm == Algorithm::winograd && g.pad != Padding::all(g.pad.top)) return plan;
  // Its kernels of one pixel gather a strided image's pixels by whole vectors of channels, and
  // write what is too much behind their scratchpad (oneDNN 3.1, jit_1x1:avx2, 4 channels, stride
  // 2).
  constexpr int64_t kWidestVector = 16;
  if (g.kh == 1 && g.kw == 1 && g.stride > 1 && g.cg() % kWidestVector != 0) return plan;
  const dnnl::convolution_forward::primitive_desc forward(
      plans.engine, dnnl::prop_kind::forward_training, kind, x, weights, bias, y, strides, dilates,
      before, after, attributes, true);
  if (!forward) return plan;
  plan.x = x, plan.y = y;
  if (key.pass == Pass::forward) {
    keep(forward, plan);
    plan.weights = forward.weights_desc();
    if (plan.serves()) plan.primitive = dnnl::convolution_forward(forward);
  } else if (key.pass == Pass::data) {
    const dnnl::convolution_backward_data::primitive_desc d(plans.engine, kind, x, weights, y,
                                                            strides, dilates, before, after,
                                                            forward, attributes, true);
    if (!d) return plan;
    keep(d, plan);
    plan.weights = d.weights_desc();
    if (plan.serves()) plan.primitive = dnnl::convolution_backward_data(d);
  } else {
    const memory::desc sums(weight_dims(g), memory::data_type::f32, tag::any);
    const dnnl::convolution_backward_weights::primitive_desc d(plans.engine, kind, x, sums, bias, y,
                                                               strides, dilates, before, after,
                                                               forward, attributes, true);
    if (!d) return plan;
    keep(d, plan);
    plan.weights = d.diff_weights_desc();
    if (plan.serves()) plan.primitive = dnnl::convolution_backward_weights(d);
  }
  return plan;
}

// The stream's plans, with this thread's OpenMP team set to its size: oneDNN asks for it both when
// a primitive is made and when it runs.
Plans& plans_of(Stream& stream) {
  omp_set_num_threads(stream.threads());
  return stream.local<Plans>();
}

Plan& plan_of(Plans& plans, const Key& key) {
  const auto found = plans.plans.find(key);
  if (found != plans.plans.end()) return found->second;
  return plans.plans.emplace(key, checked([&] { return make_plan(plans, key); })).first->second;
}

memory memory_of(Plans& plans, const memory::desc& desc, const Tensor& t) {
  return {desc, plans.engine, t.raw()};
}

Tensor tensor_for(Stream& stream, const memory::desc& desc) {
  return empty(stream, {static_cast<int64_t>(desc.get_size() + 3) / 4});
}

void reorder(Plans& plans, memory from, memory to) {
  dnnl::reorder(from, to).execute(plans.stream, from, to);
  plans.stream.wait();
}

// The weights as the plan wants them, kept with the parameter while its version lasts.
Tensor weights_for(Stream& stream, Plans& plans, const Geometry& g, const Plan& plan,
                   const Tensor& weight) {
  const memory::desc plain = plain_weights(g, weight.dtype);
  if (plan.weights == plain) return weight;
  const auto make = [&] {
    Tensor t = tensor_for(stream, plan.weights);
    reorder(plans, memory_of(plans, plain, weight), memory_of(plans, plan.weights, t));
    return t;
  };
  if (weight.parameter == nullptr) return make();
  return weight.parameter->cached(concat_text("conv:onednn:", plan.id), make);
}

void execute(Stream& stream, Plans& plans, const Plan& plan,
             std::unordered_map<int, memory> arguments) {
  const Tensor scratchpad = tensor_for(stream, plan.scratchpad);
  arguments.emplace(DNNL_ARG_SCRATCHPAD, memory_of(plans, plan.scratchpad, scratchpad));
  plan.primitive.execute(plans.stream, arguments);
  plans.stream.wait();
}

}  // namespace

bool onednn_has_bf16() {
  constexpr auto kWanted = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  static const bool answer =
      (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & kWanted) == kWanted;
  return answer;
}

std::string onednn_implementation(Stream& stream, const Geometry& g, DType dtype,
                                  Algorithm algorithm, Pass pass) {
  const Key key{pass, dtype, algorithm, false, stream.threads(), g};
  return plan_of(plans_of(stream), key).implementation;
}

bool forward_onednn(Stream& stream, const Geometry& g, Algorithm algorithm, const Tensor& x,
                    const Tensor& weight, const Tensor& bias, const Tensor& y) {
  Plans& plans = plans_of(stream);
  const Plan& plan =
      plan_of(plans, {Pass::forward, x.dtype, algorithm, bias.defined(), stream.threads(), g});
  if (!plan.serves()) return false;
  checked([&] {
    const Tensor w = weights_for(stream, plans, g, plan, weight);
    std::unordered_map<int, memory> arguments = {
        {DNNL_ARG_SRC, memory_of(plans, plan.x, x)},
        {DNNL_ARG_WEIGHTS, memory_of(plans, plan.weights, w)},
        {DNNL_ARG_DST, memory_of(plans, plan.y, y)}};
    if (bias.defined())
      arguments.emplace(DNNL_ARG_BIAS, memory_of(plans, bias_desc(g, bias.dtype), bias));
    execute(stream, plans, plan, std::move(arguments));
  });
  return true;
}

bool backward_data_onednn(Stream& stream, const Geometry& g, Algorithm algorithm, const Tensor& dy,
                          const Tensor& weight, const Tensor& dx) {
  Plans& plans = plans_of(stream);
  const Plan& plan = plan_of(plans, {Pass::data, dy.dtype, algorithm, false, stream.threads(), g});
  if (!plan.serves()) return false;
  checked([&] {
    const Tensor w = weights_for(stream, plans, g, plan, weight);
    execute(stream, plans, plan,
            {{DNNL_ARG_DIFF_DST, memory_of(plans, plan.y, dy)},
             {DNNL_ARG_WEIGHTS, memory_of(plans, plan.weights, w)},
             {DNNL_ARG_DIFF_SRC, memory_of(plans, plan.x, dx)}});
  });
  return true;
}

bool backward_weights_onednn(Stream& stream, const Geometry& g, Algorithm algorithm,
                             const Tensor& dy, const Tensor& x, const Tensor& dw) {
  Plans& plans = plans_of(stream);
  const Plan& plan =
      plan_of(plans, {Pass::weights, x.dtype, algorithm, false, stream.threads(), g});
  if (!plan.serves()) return false;
  checked([&] {
    const memory::desc plain = plain_weights(g, DType::f32);
    const Tensor out = plan.weights == plain ? dw : tensor_for(stream, plan.weights);
    execute(stream, plans, plan,
            {{DNNL_ARG_SRC, memory_of(plans, plan.x, x)},
             {DNNL_ARG_DIFF_DST, memory_of(plans, plan.y, dy)},
             {DNNL_ARG_DIFF_WEIGHTS, memory_of(plans, plan.weights, out)}});
    if (plan.weights != plain) {
      reorder(plans, memory_of(plans, plan.weights, out), memory_of(plans, plain, dw));
    }
  });
  return true;
}

}  // namespace gliograd::conv_paths
