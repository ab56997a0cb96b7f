#include "apps/study/run_store.hpp"

namespace gliograd::study {

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

std::map<int, double> MemoryRunStore::permutations() {
  const std::lock_guard lock(mutex_);
  return permutations_;
}

void MemoryRunStore::add_permutation(int index, double auc) {
  const std::lock_guard lock(mutex_);
  permutations_[index] = auc;
}

}  // namespace gliograd::study
