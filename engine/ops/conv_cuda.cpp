// Convolution on a GPU: which kernels compute a pass.
#include <algorithm>
#include <functional>
#include <set>
#include <tuple>

#include "engine/core/log.hpp"
#include "engine/device/fallbacks.hpp"
#include "engine/ops/conv_paths.hpp"
#include "kernels/conv.hpp"
#include "kernels/runtime.hpp"

namespace gliograd::conv_paths {
namespace {

kernels::ConvShape shape_of(const Stream& stream, const Geometry& g, DType dtype) {
  return {.n = g.n,
          .h = g.h,
          .w = g.w,
          .ci = g.ci,
          .co = g.co,
          .kh = g.kh,
          .kw = g.kw,
          .ho = g.ho,
          .wo = g.wo,
          .stride = g.stride,
          .dilation = g.dilation,
          .groups = g.groups,
          .top = g.pad.top,
          .left = g.pad.left,
          .dtype = dtype,
          .tf32 = stream.tf32() && dtype == DType::f32};
}

// Heads of few channels are the own kernels' in any case.
void note_fallback(Stream& stream, const Geometry& g, const char* pass, const Tensor& x) {
  if (g.ci < 8 || g.co < 8) return;
  stream.local<Fallbacks>().add(concat_text("conv ", pass, ", ", x.dtype, ' ', g.n, 'x', g.h, 'x',
                                            g.w, 'x', g.ci, " to ", g.co, ", ", g.kh, 'x', g.kw,
                                            " / ", g.stride));
}

// "conv data bf16 32x80x80x8 to 80x80x16 by 3x3 / 1": all that a plan depends on; no comma.
std::string text_of(kernels::ConvPass pass, const kernels::ConvShape& s) {
  const char* const passes[] = {"forward", "data", "weights"};
  std::string text =
      concat_text("conv ", passes[static_cast<int>(pass)], ' ', s.tf32 ? "tf32" : name_of(s.dtype),
                  ' ', s.n, 'x', s.h, 'x', s.w, 'x', s.ci, " to ", s.ho, 'x', s.wo, 'x', s.co,
                  " by ", s.kh, 'x', s.kw, " / ", s.stride, " from ", -s.top, ':', -s.left);
  if (s.dilation > 1) text += concat_text(" dilation ", s.dilation);
  if (s.groups > 1) text += concat_text(" groups ", s.groups);
  if (s.bias) text += " + bias";
  return text;
}

// Of one run, the median of several samples. In each a run that is not counted goes first: it loads
// code, and keeps the device busy while the host hands over those that are, so that the time
// between the events is the device's and not that of the handing over. A recorded step pays only
// the first.
double median_ms(const Stream& stream, const std::function<void()>& work) {
  constexpr size_t kSamples = 3;
  constexpr int kRuns = 4;
  struct Timed {
    kernels::Event event = kernels::make_event(true);
    Timed() = default;
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;
    ~Timed() { kernels::free_event(event); }
  };
  const Timed begin, end;
  std::vector<double> ms;
  for (size_t i = 0; i < kSamples; ++i) {
    work();
    kernels::record_event(stream.queue(), begin.event);
    for (int run = 0; run < kRuns; ++run) work();
    kernels::record_event(stream.queue(), end.event);
    kernels::finish_event(end.event);
    ms.push_back(kernels::milliseconds_between(begin.event, end.event) / kRuns);
  }
  std::nth_element(ms.begin(), ms.begin() + kSamples / 2, ms.end());
  return ms[kSamples / 2];
}

// cuDNN's handle, which lives as long as its stream.
class Vendor {
 public:
  Vendor() = default;
  ~Vendor() {
    if (vendor_.handle != nullptr) kernels::free_conv_vendor(vendor_);
  }
  Vendor(const Vendor&) = delete;
  Vendor& operator=(const Vendor&) = delete;

  // False where no plan serves the pass: nothing is done then.
  bool run(Stream& stream, kernels::ConvPass pass, const kernels::ConvShape& shape,
           const Tensor& first, const Tensor& second, const Tensor& bias, const Tensor& result) {
    if (!made_) vendor_ = kernels::make_conv_vendor(stream.queue());
    made_ = true;
    if (vendor_.handle == nullptr) return false;
    const bool fixed = stream.deterministic();
    // Under capture nothing can be timed; a shape first met there is, where it next runs eagerly.
    if (stream.plans() != nullptr && decided_.count({pass, shape}) == 0 &&
        !kernels::is_capturing(stream.queue())) {
      decide(stream, pass, shape, [&](const Tensor& workspace) {
        kernels::run_conv_vendor(vendor_, pass, shape, fixed, first.raw(), second.raw(),
                                 shape.bias ? bias.raw() : nullptr, result.raw(), workspace.raw());
      });
      decided_.insert({pass, shape});
    }
    const int64_t bytes = kernels::plan_conv_vendor(vendor_, pass, shape, fixed);
    if (bytes < 0) return false;
    const Tensor workspace = empty(stream, {std::max<int64_t>(1, bytes)}, DType::u8);
    kernels::run_conv_vendor(vendor_, pass, shape, fixed, first.raw(), second.raw(),
                             shape.bias ? bias.raw() : nullptr, result.raw(), workspace.raw());
    return true;
  }

 private:
  // Takes the plan that was chosen for all, timing those there are where none was: `run` computes
  // the pass, and may do so any number of times.
  void decide(Stream& stream, kernels::ConvPass pass, const kernels::ConvShape& shape,
              const std::function<void(const Tensor& workspace)>& run) {
    constexpr int kCandidates = 6;
    const std::string product = text_of(pass, shape);
    const auto time = [&] {
      PlanChoice best;
      for (const kernels::ConvPlan& plan :
           kernels::list_conv_plans(vendor_, pass, shape, false, kCandidates)) {
        double ms = 0;
        try {
          kernels::take_conv_plan(vendor_, pass, shape, false, plan.name);
          const Tensor workspace = empty(stream, {std::max<int64_t>(1, plan.workspace)}, DType::u8);
          ms = median_ms(stream, [&] { run(workspace); });
        } catch (const WorkError& error) {  // no room for its workspace, or it does not run here
          log_info(concat_text("note: ", product, ": the plan \"", plan.name,
                               "\" is left out: ", error.what()));
          continue;
        }
        ++best.candidates;
        if (best.plan.empty() || ms < best.ms) {
          best.plan = plan.name;
          best.ms = ms;
          best.workspace = plan.workspace;
        }
      }
      if (best.plan.empty()) best.plan = kNoPlan;
      return best;
    };
    const PlanChoice choice = stream.plans()->of(product, time);
    if (choice.plan == kNoPlan) return;
    if (kernels::take_conv_plan(vendor_, pass, shape, false, choice.plan)) return;
    log_info(concat_text("note: ", product, ": the plan \"", choice.plan,
                         "\" is not there any more; timed anew"));
    const std::string now = stream.plans()->renewed(product, choice.plan, time).plan;
    if (now != kNoPlan) kernels::take_conv_plan(vendor_, pass, shape, false, now);
  }

  static constexpr const char* kNoPlan = "none";

  bool made_ = false;
  kernels::ConvVendor vendor_;
  std::set<std::tuple<kernels::ConvPass, kernels::ConvShape>> decided_;
};

}  // namespace

void forward_cuda(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                  const Tensor& bias, Tensor& y) {
  if (g.depthwise()) {
    kernels::conv_depthwise_forward(stream.queue(), shape_of(stream, g, x.dtype), x.raw(),
                                    weight.raw(), bias.defined() ? bias.raw() : nullptr, y.raw());
    return;
  }
  kernels::ConvShape shape = shape_of(stream, g, x.dtype);
  shape.bias = bias.defined();
  if (stream.local<Vendor>().run(stream, kernels::ConvPass::forward, shape, x, weight, bias, y)) {
    return;
  }
  note_fallback(stream, g, "forward", x);
  kernels::conv_direct_forward(stream.queue(), shape, x.raw(), weight.raw(),
                               bias.defined() ? bias.raw() : nullptr, y.raw());
}

namespace {

void backward_depthwise(Stream& stream, const kernels::ConvShape& shape, const Tensor& x,
                        const Tensor& weight, const Tensor& dy, Tensor& dx, Tensor& dw) {
  const kernels::Queue queue = stream.queue();
  if (dx.defined()) kernels::conv_depthwise_data(queue, shape, dy.raw(), weight.raw(), dx.raw());
  if (!dw.defined()) return;
  const Tensor partial =
      empty(stream, {kernels::depthwise_slices(shape), shape.kh * shape.kw, shape.co});
  kernels::conv_depthwise_weights(queue, shape, dy.raw(), x.raw(),
                                  static_cast<float*>(partial.raw()),
                                  static_cast<float*>(dw.raw()));
}

void backward_products(Stream& stream, const Geometry& g, const kernels::ConvShape& shape,
                       const Tensor& x, const Tensor& weight, const Tensor& dy, Tensor& dx,
                       Tensor& dw) {
  const kernels::Queue queue = stream.queue();
  Vendor& vendor = stream.local<Vendor>();
  if (dx.defined() && !vendor.run(stream, kernels::ConvPass::data, shape, dy, weight, {}, dx)) {
    note_fallback(stream, g, "data", x);
    kernels::conv_direct_data(queue, shape, dy.raw(), weight.raw(), dx.raw());
  }
  if (dw.defined()) {
    // cuDNN gives them in the type of the images; the own kernel keeps its f32 sums.
    Tensor narrow = x.dtype == DType::f32 ? dw : empty(stream, dw.shape, x.dtype);
    if (!vendor.run(stream, kernels::ConvPass::weights, shape, dy, x, {}, narrow)) {
      note_fallback(stream, g, "weights", x);
      kernels::conv_direct_weights(queue, shape, dy.raw(), x.raw(), static_cast<float*>(dw.raw()));
    } else if (x.dtype != DType::f32) {
      dw = narrow;
    }
  }
}

}  // namespace

void backward_cuda(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                   const Tensor& dy, Tensor& dx, Tensor& dw, Tensor& db) {
  const kernels::ConvShape shape = shape_of(stream, g, x.dtype);
  if (g.depthwise()) {
    backward_depthwise(stream, shape, x, weight, dy, dx, dw);
  } else {
    backward_products(stream, g, shape, x, weight, dy, dx, dw);
  }
  if (db.defined()) {
    kernels::sum_channels(stream.queue(), dy.dtype, dy.size() / g.co, g.co, dy.raw(),
                          static_cast<float*>(db.raw()));
  }
}

}  // namespace gliograd::conv_paths
