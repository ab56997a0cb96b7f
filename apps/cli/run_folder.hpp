// The run folder: the file form of RunStore, as docs/formats.md describes it. A run that was
// stopped anywhere is taken up by the same command and ends with the same bytes in folds.csv,
// predictions.csv, history.csv and model.h5 as one that never stopped.
#pragma once
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/config_file.hpp"
#include "apps/study/run_store.hpp"
#include "data/dataset.hpp"

namespace gliograd::cli {

class RunFolder final : public study::RunStore {
 public:
  /// Makes the folder, or takes up the one that is there.
  /// Errors: Error when it is in use, is no run folder, or was made with other settings, other data
  /// or (without `allow_other_machine`) on another kind of CPU: names the setting and both values.
  RunFolder(const std::string& path, const std::vector<study::NamedSetting>& settings,
            const RunFacts& facts, bool allow_other_machine);
  ~RunFolder() override;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  void begin(const data::Dataset& set, const data::Split& split) override;
  std::optional<study::FoldResult> finished(int repeat, int fold) override;
  std::optional<study::FoldState> load_state(int repeat, int fold, Stream& stream) override;
  void save_state(int repeat, int fold, const study::FoldState& state) override;
  void finish(const study::FoldResult& result, const models::Checkpoint& model) override;
  std::map<int, double> permutations() override;
  void add_permutation(int index, double auc) override;
  std::string load_plans() override;
  void save_plans(const std::string& csv) override;
  /// Where choices of plans come from that the folder itself has not, and go to beside it; empty:
  /// from and to nowhere (apps/cli/plan_cache.hpp).
  void use_plan_cache(std::string path) { plan_cache_ = std::move(path); }

 private:
  std::string fold_folder(int repeat, int fold) const;

  std::string path_, plan_cache_;
  int lock_ = -1;
  std::mutex mutex_;  // of permutation.csv
};

/// history.csv: epoch,steps,lr,train_loss,inner_loss,inner_auc; the inner ones empty where absent.
std::string history_text(const std::vector<study::HistoryRow>& history);
std::vector<study::HistoryRow> parse_history(const std::string& text, const std::string& name);

}  // namespace gliograd::cli
