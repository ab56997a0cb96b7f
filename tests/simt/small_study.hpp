// A study small enough for the emulated GPU: a phantom of 8 patients in two folds.
#pragma once
#include "apps/study/crossval.hpp"
#include "data/phantom.hpp"

namespace gliograd::simt {

inline const data::Dataset& cohort() {
  static const data::Dataset set =
      data::make_phantom({.patients = 8, .size = 48, .slices = 3, .seed = 5}, 40);
  return set;
}

/// One epoch of the least network on windows of 16 pixels.
inline study::CrossvalSettings small_settings(const char* device = "cuda") {
  study::CrossvalSettings settings;
  settings.target = "COCCluster=2";
  settings.folds = 2;
  study::TrainSettings& train = settings.train;
  train.device = device;
  train.width = 8;
  train.window = 16;
  train.epochs = 1;
  train.batch = 4;
  train.warmup_epochs = 0;
  return settings;
}

/// Cross-validation of the cohort.
inline study::CrossvalResult crossval(const study::CrossvalSettings& settings,
                                      study::RunStore& store,
                                      const models::Checkpoint* init = nullptr) {
  const study::Target target = study::make_target(cohort(), settings.target);
  study::Progress progress("test", 1, "images", false);
  return study::crossval(cohort(), target, settings, init, store, progress);
}

}  // namespace gliograd::simt
