#include "apps/study/place.hpp"

#include <algorithm>

namespace gliograd::study {
namespace {

constexpr int kGpu = 0;
// CUDA feeds a GPU through eight queues unless told otherwise; streams beyond them wait for one
// another.
constexpr int kGpuQueues = 8;

}  // namespace

Place::Place(const TrainSettings& settings, const data::Dataset& set)
    : options_{.threads = settings.intra_threads, .deterministic = settings.deterministic},
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

int Place::concurrent(int threads) const {
  return gpu() ? kGpuQueues : std::max(1, threads / options_.threads);
}

}  // namespace gliograd::study
