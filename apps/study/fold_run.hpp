// FoldRun: one fold from its saved state (or its beginning) to the scores of its test patients.
// Trains the inner networks where --select asks for them, chooses the number of epochs, trains the
// outer one.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "apps/study/progress.hpp"
#include "apps/study/run_store.hpp"
#include "apps/study/settings.hpp"
#include "apps/study/target.hpp"
#include "apps/study/trainer.hpp"
#include "data/dataset.hpp"
#include "data/splits.hpp"

namespace gliograd::study {

constexpr int kInnerFolds = 5;

/// One fold of one pass over the patients; permutation 0 is the real labels.
struct FoldTask {
  int permutation = 0;
  int repeat = 0;
  int fold = 0;
};

/// What all folds of one permutation share.
struct Pass {
  std::vector<int32_t> labels;  // [P]
  data::Split split;
};

/// Slices of these patients.
int64_t slices_of(const data::Dataset& set, const std::vector<int32_t>& patients);

/// AUC of one against the rest, or the macro mean of all classes.
double pooled_auc(const std::vector<ScoredPatient>& rows, int classes);

/// Trains and scores the networks of one fold, from the state that the store holds.
class FoldRun {
 public:
  FoldRun(const data::Dataset& set, const Place& place, const Target& target,
          const CrossvalSettings& settings, const models::Checkpoint* init, const Pass& pass,
          const FoldTask& task, RunStore* store, Progress& progress);

  /// Takes up the state that the store holds, or begins. Interrupted after Ctrl-C.
  FoldResult run();
  /// Of the outer network, after run().
  const models::Checkpoint& model() const { return model_; }

  /// Makes the network and its data as run() would, and trains nothing.
  void check();

 private:
  void check_resumable() const;
  RandomKey key(int inner) const;
  void count_as_done(int stage, int epochs);
  int64_t whole_batches(const std::vector<int32_t>& patients) const;
  std::vector<int32_t> training_of(int stage) const;
  std::vector<int32_t> held_out_of(int stage) const;
  Problem problem(const std::vector<int32_t>& patients, int inner) const;
  // A network at the beginning of `stage`, or where the saved state left it.
  std::unique_ptr<Trainer> trainer_at(int stage, const std::vector<int32_t>& patients);
  void count_as_done_epochs(const Trainer& trainer);
  void train_one_epoch(Trainer& trainer);
  void save(const Trainer& trainer);
  void next_stage();
  std::vector<ScoredPatient> score(Trainer& trainer, const std::vector<int32_t>& patients) const;
  void train_inner(int stage);
  // Epochs to train the outer network for: the earliest minimum of the mean inner curve.
  int chosen_epochs() const;
  double mean_inner_loss(int epoch) const;
  FoldResult train_outer();

  const data::Dataset& set_;
  const Place& place_;
  const Target& target_;
  const CrossvalSettings& settings_;
  const models::Checkpoint* init_;
  const Pass& pass_;
  FoldTask task_;
  RunStore* store_;  // null for permutations, which are small enough to be run again
  Progress& progress_;
  std::vector<int32_t> training_, test_, inner_of_;
  int inner_count_ = 0;
  std::unique_ptr<Stream> stream_;
  int64_t graph_bytes_ = 0;  // the most of any of its networks
  FoldState state_;
  models::Checkpoint model_;
  bool resumed_ = false;
};

}  // namespace gliograd::study
