#include "engine/ops/vendor_products.hpp"

#include <exception>

#include "engine/core/log.hpp"
#include "engine/device/allocator.hpp"
#include "engine/device/plan_choices.hpp"
#include "kernels/elementwise.hpp"

namespace gliograd {
namespace {

constexpr const char* kNoPlan = "none";

// What the runtime says while something is given back goes unsaid: the call that failed has thrown.
template <class Free>
void give_back(const Free& free) noexcept {
  try {
    free();
  } catch (const WorkError&) {
  }
}

struct Timer {
  kernels::Event event = kernels::make_event(true);
  Timer() = default;
  ~Timer() {
    give_back([&] { kernels::free_event(event); });
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
};

// Work as a graph, so that the device, once it has it, waits for no call of the host's.
struct Recorded {
  kernels::Graph graph;
  Recorded(kernels::Queue queue, const std::function<void()>& work) {
    kernels::begin_capture(queue);
    try {
      work();
      graph = kernels::end_capture(queue);
    } catch (...) {
      kernels::drop_capture(queue);
      throw;
    }
  }
  ~Recorded() {
    give_back([&] { kernels::free_graph(graph); });
  }
  Recorded(const Recorded&) = delete;
  Recorded& operator=(const Recorded&) = delete;
};

// Of one run, the median of several samples of several runs in a row. A run that is not counted
// goes first and loads code. In front of each sample goes one that is not counted either: while the
// device is busy with it, the host hands over the next.
double median_ms(const Stream& stream, const std::function<void()>& work) {
  constexpr size_t kSamples = 5;
  constexpr int kRuns = 4;
  const kernels::Queue queue = stream.queue();
  work();
  const Recorded runs(queue, [&] {
    for (int run = 0; run < kRuns; ++run) work();
  });
  const Timer begin, end;
  std::vector<double> ms;
  for (size_t i = 0; i < kSamples; ++i) {
    kernels::launch_graph(runs.graph, queue);
    kernels::record_event(queue, begin.event);
    kernels::launch_graph(runs.graph, queue);
    kernels::record_event(queue, end.event);
    kernels::finish_event(end.event);
    ms.push_back(kernels::milliseconds_between(begin.event, end.event) / kRuns);
  }
  std::nth_element(ms.begin(), ms.begin() + kSamples / 2, ms.end());
  return ms[kSamples / 2];
}

PlanChoice fastest(Stream& stream, const TimedProduct& product) {
  PlanChoice best;
  std::exception_ptr no_room;
  for (const kernels::VendorPlan& plan : product.plans()) {
    double ms = 0;
    try {
      if (!product.take(plan.name)) continue;
      const Tensor room = empty(stream, {std::max<int64_t>(1, plan.workspace)}, DType::u8);
      ms = median_ms(stream, [&] { product.run(room); });
    } catch (const WorkError& error) {  // no room for its workspace, or it does not run here
      if (dynamic_cast<const OutOfMemory*>(&error) != nullptr) no_room = std::current_exception();
      log_info(concat_text("note: ", product.text, ": the plan \"", plan.name,
                           "\" is left out: ", error.what()));
      stream.wait();  // throws where the GPU itself has failed: then nothing can be chosen
      continue;
    }
    ++best.candidates;
    if (best.plan.empty() || ms < best.ms) {
      best.plan = plan.name;
      best.ms = ms;
      best.workspace = plan.workspace;
    }
  }
  if (best.plan.empty() && no_room) std::rethrow_exception(no_room);  // it may have some next time
  if (best.plan.empty()) best.plan = kNoPlan;
  return best;
}

}  // namespace

void add_bias(Stream& stream, const Tensor& bias, bool relu, Tensor& result) {
  kernels::add_to_rows(stream.queue(), result.dtype, result.size() / bias.size(), bias.size(),
                       bias.raw(), relu, result.raw());
}

bool take_fastest_plan(Stream& stream, const TimedProduct& product) {
  const auto time = [&] { return fastest(stream, product); };
  const PlanChoice choice = stream.plans()->of(product.text, time);
  if (choice.plan == kNoPlan) return false;
  if (product.take(choice.plan)) return true;
  log_info(concat_text("note: ", product.text, ": the plan \"", choice.plan,
                       "\" is not there any more; timed anew"));
  const std::string now = stream.plans()->renewed(product.text, choice.plan, time).plan;
  return now != kNoPlan && product.take(now);
}

}  // namespace gliograd
