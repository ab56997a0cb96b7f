#include "engine/ops/vendor_products.hpp"

#include "engine/core/log.hpp"
#include "engine/device/plan_choices.hpp"

namespace gliograd {
namespace {

constexpr const char* kNoPlan = "none";

struct Timer {
  kernels::Event event = kernels::make_event(true);
  Timer() = default;
  ~Timer() { kernels::free_event(event); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
};

// Of one run, the median of several samples. In each a run that is not counted goes first: it loads
// code, and keeps the device busy while the host hands over those that are, so that the time
// between the events is the device's and not that of the handing over. A recorded step pays only
// the first.
double median_ms(const Stream& stream, const std::function<void()>& work) {
  constexpr size_t kSamples = 3;
  constexpr int kRuns = 4;
  const Timer begin, end;
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

PlanChoice fastest(Stream& stream, const TimedProduct& product) {
  PlanChoice best;
  for (const kernels::VendorPlan& plan : product.plans()) {
    double ms = 0;
    try {
      if (!product.take(plan.name)) continue;
      const Tensor room = empty(stream, {std::max<int64_t>(1, plan.workspace)}, DType::u8);
      ms = median_ms(stream, [&] { product.run(room); });
    } catch (const WorkError& error) {  // no room for its workspace, or it does not run here
      log_info(concat_text("note: ", product.text, ": the plan \"", plan.name,
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
}

}  // namespace

void take_fastest_plan(Stream& stream, const TimedProduct& product) {
  const auto time = [&] { return fastest(stream, product); };
  const PlanChoice choice = stream.plans()->of(product.text, time);
  if (choice.plan == kNoPlan || product.take(choice.plan)) return;
  log_info(concat_text("note: ", product.text, ": the plan \"", choice.plan,
                       "\" is not there any more; timed anew"));
  const std::string now = stream.plans()->renewed(product.text, choice.plan, time).plan;
  if (now != kNoPlan) product.take(now);
}

}  // namespace gliograd
