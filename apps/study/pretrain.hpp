// Pretraining: a network learns another task on other images, and its best epoch by a held-out
// score is kept as a checkpoint that crossval can start from.
#pragma once
#include <string>
#include <vector>

#include "apps/study/progress.hpp"
#include "apps/study/run_store.hpp"
#include "apps/study/settings.hpp"
#include "apps/study/trainer.hpp"
#include "data/dataset.hpp"

namespace gliograd::study {

struct PretrainSettings {
  TrainSettings train;
  std::string task = "tumor";  // tumor: does this slice contain tumor; category: a label column
  std::string column = "category";  // of the task category
  double holdout = 0.2;             // share of the patients (images) that the score is measured on
  std::string holdout_from;  // COLUMN=VALUE: hold out among these patients alone; empty: anywhere
  int threads = 1;
};

std::vector<NamedSetting> named_settings(const PretrainSettings& settings);
void check_settings(const PretrainSettings& settings);

struct PretrainResult {
  std::vector<HistoryRow> history;  // inner_loss and inner_auc hold the held-out loss and score
  std::string score_name;           // "AUC" (tumor) or "accuracy" (category)
  int best_epoch = 0;               // from 1
  double best_score = 0;
  double best_loss = 0;
  int64_t training_patients = 0;
  int64_t held_out_patients = 0;
  int64_t held_out_slices = 0;
  models::Checkpoint checkpoint;  // of the best epoch; its tensors live as long as it does
  double seconds = 0;
  int64_t peak_bytes = 0;
};

/// Trains for all epochs and keeps the best: the highest held-out score, the earliest of equals.
/// Held out are patients; a stratified share of them where the label is the patient's. The store
/// holds the state between epochs as fold 0 of repeat 0.
/// Errors: Error for the task "tumor" on a set without masks, with one class only, or with the mask
/// among the inputs (it would hold the answer); for the task "category" without that column.
PretrainResult pretrain(const data::Dataset& set, const PretrainSettings& settings, RunStore& store,
                        Progress& progress);

/// Whether these settings fit the set, before anything is written. Errors: as pretrain().
void check_pretrain(const data::Dataset& set, const PretrainSettings& settings);

/// Images that the training will see, for progress.
int64_t pretrain_work(const data::Dataset& set, const PretrainSettings& settings);

}  // namespace gliograd::study
