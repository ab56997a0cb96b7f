// RunStore: where a cross-validation keeps what it has done. The file form (the run folder) is
// apps/cli/run_folder; MemoryRunStore serves tests, benches and builds without file libraries.
#pragma once
#include <cmath>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/study/predictions.hpp"
#include "data/dataset.hpp"
#include "data/splits.hpp"
#include "engine/tensor/tensor.hpp"
#include "kernels/step_state.hpp"
#include "models/checkpoint.hpp"

namespace gliograd::study {

/// One line of history.csv. The inner columns are NaN where no inner network was trained.
struct HistoryRow {
  int epoch = 0;  // from 1: epochs finished
  int64_t steps = 0;
  double lr = 0;
  double train_loss = 0;
  double inner_loss = NAN;
  double inner_auc = NAN;
};

/// A fold between two epochs: all that going on needs.
struct FoldState {
  int stage = 0;  // which network: the inner ones first, the outer last
  int epoch = 0;  // epochs this network has finished
  StepState step;
  std::vector<HistoryRow> history;                // of this network
  std::vector<std::vector<double>> inner_losses;  // [finished inner networks][epoch]
  std::vector<std::vector<ScoredPatient>>
      inner_scores;  // [epoch][patient], of all inner networks so far
  std::vector<std::pair<std::string, Tensor>> tensors;  // masters, buffers, optimizer
};

/// Throws the Error of a saved state that no training has left; `what` says where it shows.
[[noreturn]] void refuse_saved(const std::string& what);
/// That a state fits the network it shall go on with: `stages` networks of `epochs` epochs of
/// `steps_per_epoch`. Errors: Error when a counter lies outside its range or the history is not
/// that of the epochs done, as in a file that was damaged or edited.
void check_saved(const FoldState& state, int stages, int epochs, int64_t steps_per_epoch);

/// A finished fold.
struct FoldResult {
  int repeat = 0;
  int fold = 0;
  std::vector<HistoryRow> history;
  std::vector<ScoredPatient> predictions;  // of the test patients
  std::vector<ScoredPatient> inner;        // of the training patients, out of their inner folds
  double seconds = 0;
  int64_t peak_bytes = 0;
};

/// Calls come from several threads at once, for different folds.
class RunStore {
 public:
  virtual ~RunStore() = default;
  virtual void begin(const data::Dataset& set, const data::Split& split) = 0;
  /// The result of a fold that an earlier run finished.
  virtual std::optional<FoldResult> finished(int repeat, int fold) = 0;
  virtual std::optional<FoldState> load_state(int repeat, int fold, Stream& stream) = 0;
  virtual void save_state(int repeat, int fold, const FoldState& state) = 0;
  /// `model`: the weights as evaluated, with the patients they have seen.
  virtual void finish(const FoldResult& result, const models::Checkpoint& model) = 0;
  /// Permutations that earlier runs finished: index and AUC.
  virtual std::map<int, double> permutations() = 0;
  virtual void add_permutation(int index, double auc) = 0;
  /// Choices of a GPU's plans (PlanChoices::csv) that this run, or earlier ones on the same GPU,
  /// made; empty where there are none.
  virtual std::string load_plans() { return ""; }
  virtual void save_plans(const std::string& csv) { (void)csv; }
};

class MemoryRunStore final : public RunStore {
 public:
  void begin(const data::Dataset&, const data::Split&) override {}
  std::optional<FoldResult> finished(int repeat, int fold) override;
  std::optional<FoldState> load_state(int, int, Stream&) override { return std::nullopt; }
  void save_state(int, int, const FoldState&) override {}
  void finish(const FoldResult& result, const models::Checkpoint& model) override;
  std::map<int, double> permutations() override;
  void add_permutation(int index, double auc) override;
  std::string load_plans() override;
  void save_plans(const std::string& csv) override;

 private:
  std::mutex mutex_;
  std::string plans_;
  std::map<std::pair<int, int>, FoldResult> results_;
  std::map<int, double> permutations_;
};

}  // namespace gliograd::study
