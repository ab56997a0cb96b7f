// Trainer: one network, one problem. An epoch of it, the patients' probabilities under it, and its
// state between two epochs. Knows slices and labels, not folds: cross-validation and pretraining
// both stand on it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/study/batches.hpp"
#include "apps/study/fused_features.hpp"
#include "apps/study/place.hpp"
#include "apps/study/run_store.hpp"
#include "apps/study/settings.hpp"
#include "data/dataset.hpp"
#include "engine/device/captured_work.hpp"
#include "engine/optim/optimizer.hpp"
#include "models/network.hpp"
#include "models/transfer.hpp"

namespace gliograd::study {

/// What is to be learned, and from which slices.
struct Problem {
  const data::Dataset* set = nullptr;
  std::vector<std::string> classes;
  std::vector<int32_t> labels;  // [N] class of each slice; -1: never drawn
  /// Slice indices of an epoch (from 0), whole batches.
  std::function<std::vector<int32_t>(int epoch)> draws;
  int64_t steps_per_epoch = 0;
  FusedFeatures fused;
};

class Trainer {
 public:
  /// A new network on `stream`, which is one of `place` (both must outlive it), from random weights
  /// or from `init`. The stream's random key names all its random numbers. Errors: Error for
  /// settings that do not fit the set or the checkpoint.
  Trainer(Stream& stream, const Place& place, const TrainSettings& settings, Problem problem,
          const models::Checkpoint* init);

  int64_t steps_per_epoch() const { return problem_.steps_per_epoch; }
  /// Trains one epoch. `after_step` is told the images of each batch, and may throw. On a GPU a
  /// step is one graph, recorded at the third, and is only queued when `after_step` is called: the
  /// host reads nothing back before the epoch's end. Errors: OutOfMemory, which says what holds the
  /// most and which batch would fit; WorkError when the loss is not finite.
  HistoryRow train_epoch(const std::function<void(int64_t)>& after_step);

  /// [n][classes]: mean over a patient's slices (weighted by tumor area where asked for) of the
  /// slices' probabilities, under the averaged weights where they are kept.
  std::vector<std::vector<double>> patient_probabilities(const std::vector<int32_t>& patients);
  /// [n][classes] of single slices, in evaluation mode.
  std::vector<std::vector<double>> slice_probabilities(const std::vector<int32_t>& slices);

  /// All that going on after this epoch needs, beside the stream's StepState, on the host.
  std::vector<std::pair<std::string, Tensor>> state() const;
  /// Errors: Error when names or shapes differ from this network's.
  void restore(const std::vector<std::pair<std::string, Tensor>>& tensors, const StepState& step,
               int epoch);
  /// A copy of the weights, as they are evaluated, on the host.
  models::Checkpoint checkpoint();
  /// The most memory that the captured step held, in bytes; 0 without one.
  int64_t graph_bytes() const;
  /// Operations of one step by the formulas of its ops; 0 before the first.
  double step_ops() const { return step_ops_; }

 private:
  std::vector<std::pair<std::string, Tensor>> own_state() const;
  void run_steps(const std::function<void(int64_t)>& after_step);
  void step();
  bool fits(int64_t batch);
  int64_t fitting_batch();
  void add_probabilities(const std::vector<int32_t>& slices, int view,
                         std::vector<std::vector<double>>& sums);

  Stream& stream_;
  const Place& place_;
  TrainSettings settings_;
  Problem problem_;
  DType dtype_;
  InputSpec input_;
  std::unique_ptr<Stream> host_;  // for copies of what is on a GPU
  std::unique_ptr<models::Network> network_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Batches> batches_;
  std::unique_ptr<CapturedWork> graph_;  // on a GPU, unless eager
  int epoch_ = 0;
  double step_ops_ = 0;
};

/// The record of patients that a network trained on `patients` of `set` has seen, with those that
/// its starting weights (where there are some) had seen before.
models::SeenRecord seen_by(const data::Dataset& set, const std::vector<int32_t>& patients,
                           const models::Checkpoint* init);

}  // namespace gliograd::study
