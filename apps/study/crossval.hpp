// Cross-validation by patient: which networks are trained on whom, several folds side by side, and
// what comes out of fold. crossval() hands out folds to threads; fold_run.hpp says what one fold
// does.
#pragma once
#include <map>
#include <vector>

#include "apps/study/fold_run.hpp"
#include "apps/study/predictions.hpp"
#include "apps/study/progress.hpp"
#include "apps/study/run_store.hpp"
#include "apps/study/settings.hpp"
#include "apps/study/target.hpp"
#include "apps/study/trainer.hpp"
#include "data/dataset.hpp"
#include "data/splits.hpp"

namespace gliograd::study {

struct CrossvalResult {
  data::Split split;
  std::vector<ScoredPatient> predictions;  // out of fold, by repeat, fold, patient
  std::vector<ScoredPatient> inner;        // of the inner folds, where they were run
  std::map<int, double> permutations;      // index (from 1) to AUC under shuffled labels
  double fold_seconds = 0;                 // summed over folds, those of earlier runs too
  int64_t peak_bytes = 0;                  // the largest arena of a fold
};

/// Whether these settings fit the set, before anything is written: splits (inner and permuted ones
/// too), inputs, fused numbers, the network and the weights it starts from.
/// Errors: Error that says what does not fit.
void check_crossval(const data::Dataset& set, const Target& target,
                    const CrossvalSettings& settings, const models::Checkpoint* init);

/// Images that all networks of a cross-validation are trained on, for progress.
int64_t crossval_work(const data::Dataset& set, const Target& target,
                      const CrossvalSettings& settings);

/// Runs (or takes up) a cross-validation. `init`, where given, is a checkpoint to start from, whose
/// patients the leak guard has been shown already. A stop by Ctrl-C leaves the store resumable and
/// throws Interrupted.
/// Errors: Error for settings that do not fit the set; what a fold throws, of its type, with the
/// fold's name in front ("repeat 0, fold 3: ...").
CrossvalResult crossval(const data::Dataset& set, const Target& target,
                        const CrossvalSettings& settings, const models::Checkpoint* init,
                        RunStore& store, Progress& progress);

}  // namespace gliograd::study
