// Place: where the networks of a run are trained, and what they share there.
#pragma once
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "apps/study/run_store.hpp"
#include "apps/study/settings.hpp"
#include "data/augment_policy.hpp"
#include "engine/device/stream.hpp"
#include "engine/ops/augment_cuda.hpp"

namespace gliograd::study {

/// On a GPU the set is copied there once, for all networks. The set must outlive it.
class Place {
 public:
  /// By settings.device. Errors: DeviceError where there is no such GPU; WorkError when its memory
  /// does not hold the set.
  Place(const TrainSettings& settings, const data::Dataset& set);

  /// A new stream there, for one network at a time.
  std::unique_ptr<Stream> stream(const RandomKey& key) const;
  /// The set where networks read it: in this program's memory, or the GPU's.
  const ResidentSet& set() const { return on_gpu_ ? on_gpu_->set() : resident_.set(); }
  bool gpu() const { return on_gpu_ != nullptr; }
  /// Choices of plans that `store` knows are taken, and not timed again; it is told of each new one
  /// before a network computes with it. It must outlive the networks. Errors: Error when what it
  /// knows is damaged.
  void share_plans(RunStore& store) const;
  /// Says once for all networks which of a stream's products no vendor's plan has served.
  void tell_fallbacks(Stream& stream) const;
  /// Networks at once, where nobody has said how many.
  int concurrent(int threads) const;

 private:
  StreamOptions options_;
  data::Resident resident_;
  std::unique_ptr<const DeviceSet> on_gpu_;
  struct Told {
    std::mutex mutex;
    std::set<std::string> fallbacks;
  };
  std::unique_ptr<Told> told_ = std::make_unique<Told>();  // by several threads
};

}  // namespace gliograd::study
