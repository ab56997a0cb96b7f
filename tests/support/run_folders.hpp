// Runs of gliograd on a tiny cohort, and what they leave behind, for tests of the program as a
// whole.
#pragma once
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "tests/support/support.hpp"

namespace gliograd::test {

/// The built program, started and not waited for; killed at the end of the scope.
class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  bool running();
  void signal(int number);
  CommandResult wait();

 private:
  TempDir folder_;
  pid_t child_ = 0;
  int code_ = -1;  // once it has ended
};

/// gliograd where no file may become larger than this: a write beyond it fails, as on a full disk.
CommandResult gliograd_with_file_limit(int64_t bytes, const std::vector<std::string>& arguments);

/// Writes the set and gives its path.
std::string write_set(const data::Dataset& set, const std::string& path);
/// Patients with public identities (TCGA-AA-0000, ...) from `first` on, the last `blank` slices of
/// each without tumor: what pretraining wants.
data::Dataset identified_cohort(int patients, int first, uint32_t seed, int blank = 0);

/// A cross-validation of a few hundred milliseconds: 3 folds, 3 epochs, width 2; `more` comes last.
std::vector<std::string> crossval(const std::string& data, const std::string& out,
                                  const std::vector<std::string>& more = {});
/// A pretraining as short.
std::vector<std::string> pretrain(const std::string& data, const std::string& out,
                                  const std::vector<std::string>& more = {});

/// Paths below the folder, sorted.
std::vector<std::string> files_below(const std::string& folder);
/// Name to content of what must be the same however a run went: all but the lock, times,
/// metrics.json and config.toml.
std::map<std::string, std::string> results_of(const std::string& folder);
/// Names whose contents differ or that only one of them has, for messages.
std::string difference(const std::map<std::string, std::string>& a,
                       const std::map<std::string, std::string>& b);
/// Lines of a text, without their ends.
std::vector<std::string> lines_of(const std::string& text);

/// Exit 2, one line on standard error besides notes, nothing on standard output; returns the line.
std::string refusal_of(const std::vector<std::string>& arguments);

}  // namespace gliograd::test
