#include "apps/study/place.hpp"

#include <algorithm>

#include "engine/core/log.hpp"
#include "engine/device/fallbacks.hpp"

namespace gliograd::study {
namespace {

constexpr int kGpu = 0;
// CUDA feeds a GPU through eight queues unless told otherwise; streams beyond them wait for one
// another.
constexpr int kGpuQueues = 8;

}  // namespace

Place::Place(const TrainSettings& settings, const data::Dataset& set)
    : options_{.threads = settings.intra_threads,
               .deterministic = settings.deterministic,
               .tf32 = settings.dtype == "tf32",
               .plans = settings.plans == "heuristic" ? nullptr : std::make_shared<PlanChoices>()},
      resident_(set) {
  if (settings.device != "cuda") return;
  const std::unique_ptr<Stream> stream = Stream::cuda(kGpu, options_);
  on_gpu_ = std::make_unique<const DeviceSet>(*stream, resident_.set());
  stream->wait();  // others read it, each in an order of its own
}

std::unique_ptr<Stream> Place::stream(const RandomKey& key) const {
  StreamOptions options = options_;
  options.random = key;
  return gpu() ? Stream::cuda(kGpu, options) : Stream::cpu(options);
}

void Place::share_plans(RunStore& store) const {
  if (!gpu() || options_.plans == nullptr || options_.deterministic) return;
  const std::string text = store.load_plans();
  if (!text.empty()) options_.plans->read(text, "plans.csv");
  options_.plans->on_change([&store](const std::string& csv) { store.save_plans(csv); });
}

void Place::tell_fallbacks(Stream& stream) const {
  const std::lock_guard lock(told_->mutex);
  std::string text;
  for (const auto& [what, calls] : stream.local<Fallbacks>().counts()) {
    if (told_->fallbacks.insert(what).second) text += "\n  " + what;
  }
  if (!text.empty()) {
    log_info("note: no plan of cuDNN or cuBLASLt serves these; slower kernels of any shape do:" +
             text);
  }
}

int Place::concurrent(int threads) const {
  return gpu() ? kGpuQueues : std::max(1, threads / options_.threads);
}

}  // namespace gliograd::study
