#include "apps/study/run_store.hpp"

#include "engine/core/error.hpp"

namespace gliograd::study {

void refuse_saved(const std::string& what) {
  throw Error("the state saved in state.h5 is damaged: " + what);
}

void check_saved(const FoldState& state, int stages, int epochs, int64_t steps_per_epoch) {
  const auto refuse = [](const auto&... parts) { refuse_saved(concat_text(parts...)); };
  if (state.stage < 0 || state.stage >= stages) {
    refuse("network ", state.stage, " of ", stages);
  }
  if (state.epoch < 1 || state.epoch > epochs) refuse("epoch ", state.epoch, " of ", epochs);
  const StepState& step = state.step;
  if (step.step != state.epoch * steps_per_epoch) {
    refuse("step ", step.step, " behind ", state.epoch, " epochs of ", steps_per_epoch, " steps");
  }
  if (step.updates < 0 || step.updates > step.step || step.steady < 0 || !(step.loss_scale > 0) ||
      !std::isfinite(step.loss_scale) || !std::isfinite(step.loss_sum)) {
    refuse("its step counters hold what no training leaves");
  }
  if (static_cast<int64_t>(state.history.size()) != state.epoch) {
    refuse(state.history.size(), " rows of history behind ", state.epoch, " epochs");
  }
  for (int e = 0; e < state.epoch; ++e) {
    const HistoryRow& row = state.history[e];
    if (row.epoch != e + 1 || row.steps != (e + 1) * steps_per_epoch ||
        !std::isfinite(row.train_loss)) {
      refuse("row ", e + 1, " of its history is not of epoch ", e + 1);
    }
  }
}

std::optional<FoldResult> MemoryRunStore::finished(int repeat, int fold) {
  const std::lock_guard lock(mutex_);
  const auto found = results_.find({repeat, fold});
  if (found == results_.end()) return std::nullopt;
  return found->second;
}

void MemoryRunStore::finish(const FoldResult& result, const models::Checkpoint&) {
  const std::lock_guard lock(mutex_);
  results_[{result.repeat, result.fold}] = result;
}

std::string MemoryRunStore::load_plans() {
  const std::lock_guard lock(mutex_);
  return plans_;
}

void MemoryRunStore::save_plans(const std::string& csv) {
  const std::lock_guard lock(mutex_);
  plans_ = csv;
}

std::map<int, double> MemoryRunStore::permutations() {
  const std::lock_guard lock(mutex_);
  return permutations_;
}

void MemoryRunStore::add_permutation(int index, double auc) {
  const std::lock_guard lock(mutex_);
  permutations_[index] = auc;
}

}  // namespace gliograd::study
