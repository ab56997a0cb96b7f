// Settings of a training run: what `config.toml` records and what resumption compares. Plain values
// with defaults; the command line fills them, the trainer reads them.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "data/splits.hpp"
#include "engine/core/dtype.hpp"

namespace gliograd::study {

/// How the number of epochs is chosen inside each outer fold. Never on test scores.
enum class Select : uint8_t {
  last,     // all epochs, fixed beforehand
  holdout,  // earliest minimum of the log-loss of one stratified 20 % of the training patients
  inner,    // the same of the mean curve of 5 stratified inner folds
};

/// How one network is trained.
struct TrainSettings {
  std::string model = "subtype";
  int width = 16;  // channels of the first stage
  int depth = 1;   // convolutions a stage
  double dropout = 0.3;
  std::string dtype = "f32";
  int epochs = 30;
  int batch = 32;
  std::string optimizer = "adamw";  // sgd, adam, adamw
  double learning_rate = 2e-3;
  double weight_decay = 1e-2;
  double momentum = 0.9;            // sgd: Nesterov
  std::string schedule = "cosine";  // constant, cosine, step
  double warmup_epochs = 1;
  double clip_norm = 0;  // 0: off
  double ema = 0;        // decay of the averaged weights; 0: off
  double label_smoothing = 0;
  bool balance_classes = true;
  bool weight_by_area = false;       // draws and patient scores weigh slices by tumor area
  std::string preset = "light";      // augmentation: off, light, full
  std::vector<std::string> augment;  // single settings of it: "rotation-degrees=10"
  std::string input = "default";     // default, paper
  std::string sequences = "all";     // names joined by commas, all, or none
  std::string mask = "channel";      // none, multiply, channel, raw-zero
  int window = 80;
  int tta = 1;                    // test-time augmentation: 1 (off), 2, 4 or 8 views
  std::string init;               // checkpoint to start from; empty: random weights
  std::string adapt = "average";  // first layer to another channel count: average, repeat, copy
  std::string freeze;             // freeze up to this stage; empty: nothing
  double transferred_lr = 1;      // factor on the learning rate of transferred weights
  bool freeze_batch_norm = false;
  std::vector<std::string> fuse;  // covariates or "shape", in front of the last layer
  uint32_t seed = 1;
  int intra_threads = 1;  // of one network; bits may differ with it
  // Where: recorded with the machine, not among the settings.
  std::string device = "cpu";   // cpu, cuda
  bool deterministic = false;   // GPU: the same bits in every run
  std::string plans = "timed";  // GPU: timed (or as recorded), fresh (timed anew), heuristic
  bool eager = false;           // GPU: every kernel launched singly, not a step as one graph

  /// What activations are computed in; f32 for tf32, whose products alone are rounded.
  DType compute_type() const;
};

/// A cross-validation: what is predicted, how patients are split, how epochs are chosen.
struct CrossvalSettings {
  TrainSettings train;
  std::string target;  // COLUMN=VALUE or COLUMN
  data::SplitKind split = data::SplitKind::stratified;
  int folds = 10;
  int repeats = 1;
  Select select = Select::last;
  int permutations = 0;
  int threads = 1;           // in all
  int concurrent_folds = 0;  // 0: min(folds, max(1, threads / intra_threads))
  bool assume_disjoint = false;
  std::string mapping;  // CSV of names that are the same patient
};

/// One setting by name, as it stands in config.toml.
struct NamedSetting {
  using Value = std::variant<bool, int64_t, double, std::string>;
  std::string name;
  Value value;
  bool compared = true;  // whether resumption insists on it (threads and progress are free)
};

/// All settings in force, in the order of --help.
std::vector<NamedSetting> named_settings(const TrainSettings& settings);
std::vector<NamedSetting> named_settings(const CrossvalSettings& settings);
/// A short digest of the compared settings, for the ledger of looks (16 hexadecimal digits).
std::string settings_digest(const std::vector<NamedSetting>& settings);

/// Errors: Error that names the option, the allowed values and what came.
void check_settings(const TrainSettings& settings);
void check_settings(const CrossvalSettings& settings);

const char* name_of(Select select);
/// Errors: Error for an unknown name, listing the known ones.
Select select_named(const std::string& name);

}  // namespace gliograd::study
