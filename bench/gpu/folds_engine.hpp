// Ten-fold cross-validation on one GPU, on a phantom of the real set's size: all that `crossval`
// does but its files.
//
//   setup --epochs 30 --dtype bf16 ...   makes the cohort, trains an epoch of each fold
//   round N                              a whole cross-validation, N folds at once
//
// Fold k beside others is fold k alone, bit for bit: "scores" is a digest of all scores, and must
// be the same for any N.
#pragma once
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "apps/study/crossval.hpp"
#include "bench/gpu/engine.hpp"
#include "bench/gpu/meter.hpp"
#include "data/phantom.hpp"
#include "kernels/runtime.hpp"

namespace gliograd::bench {

class FoldsEngine final : public Engine {
 public:
  FoldsEngine()
      : Engine({{"setup", [this](const auto& words) { return setup(words); }},
                {"round", [this](const auto& words) { return round(words); }}}) {}

 private:
  std::string setup(const std::vector<std::string>& given) {
    Words words(given);
    // The public lower-grade set: 110 patients, 1,373 slices with tumor, windows of 128.
    const int64_t patients = words.integer("--patients", 110, 6, 9999);
    const int64_t slices = words.integer("--slices", 12, 3, 40);
    const int64_t size = words.integer("--size", 80, 16, 512);
    settings_ = {};
    settings_.target = "COCCluster=2";
    settings_.folds = static_cast<int>(words.integer("--folds", 10, 2, 100));
    settings_.train.device = "cuda";
    settings_.train.dtype = words.one_of("--dtype", "bf16", {"f32", "tf32", "bf16", "f16"});
    settings_.train.epochs = static_cast<int>(words.integer("--epochs", 30, 1, 1000));
    settings_.train.batch = static_cast<int>(words.integer("--batch", 32, 2, 4096));
    settings_.train.width = static_cast<int>(words.integer("--width", 16, 1, 1024));
    settings_.train.preset = words.one_of("--preset", "light", data::augment_presets());
    settings_.train.window = static_cast<int>(size);
    words.finish();
    cohort_ =
        data::make_phantom({.patients = static_cast<int>(patients),
                            .size = std::min<int64_t>(512, 2 * size),
                            .slices = static_cast<int>(slices),
                            .seed = 1},
                           size * 8 / 5, static_cast<int>(std::thread::hardware_concurrency()));
    target_ = study::make_target(cohort_, settings_.target);
    ready_ = true;
    scores_.clear();
    // Loads all code, so that the first round finds what the others do.
    const int epochs = std::exchange(settings_.train.epochs, 1);
    const double warmup = std::exchange(settings_.train.warmup_epochs, 0);
    run(settings_.folds);
    settings_.train.epochs = epochs;
    settings_.train.warmup_epochs = std::min<double>(warmup, epochs);
    return Record()
        .add("engine", "gliograd")
        .add("device", kernels::device_facts(0).name)
        .add("patients", cohort_.patients.size())
        .add("slices", cohort_.slices_count)
        .add("folds", settings_.folds)
        .add("images", study::crossval_work(cohort_, target_, settings_))
        .text();
  }

  std::string round(const std::vector<std::string>& given) {
    if (!ready_) throw Error("round: setup comes first");
    const std::string count = given.empty() ? std::to_string(settings_.folds) : given[0];
    const int64_t at_once = Words({"--at-once", count}).integer("--at-once", 1, 1, settings_.folds);
    const Reading before = meter_.read();
    const auto start = std::chrono::steady_clock::now();
    const study::CrossvalResult result = run(static_cast<int>(at_once));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const Reading after = meter_.read();
    const double auc = study::pooled_auc(result.predictions, 2);
    if (!(auc >= 0 && auc <= 1)) throw WorkError(concat_text("the AUC is ", auc));
    const std::string scores = digest(study::format_predictions(result.predictions));
    if (scores_.empty()) scores_ = scores;
    if (scores != scores_) {
      throw WorkError(concat_text("the scores of ", at_once, " folds at once are ", scores,
                                  "; those of the first round were ", scores_));
    }
    const auto images = static_cast<double>(study::crossval_work(cohort_, target_, settings_));
    return Record()
        .add("at_once", at_once)
        .add("seconds", took.count())
        .add("ms", 1e3 * took.count())
        .add("images_per_second", images / took.count())
        .add("joules_per_image", after.joules_since(before) / images)
        .add("auc", auc)
        .add("scores", scores)
        .add("peak_bytes", result.peak_bytes)
        .add("gpu", after.record())
        .text();
  }

  study::CrossvalResult run(int at_once) {
    study::CrossvalSettings settings = settings_;
    settings.concurrent_folds = at_once;
    study::MemoryRunStore store;
    store.save_plans(plans_);  // one choice for all rounds: their scores must agree
    study::Progress progress("folds", 1, "images", false);
    study::CrossvalResult result =
        study::crossval(cohort_, target_, settings, nullptr, store, progress);
    plans_ = store.load_plans();
    return result;
  }

  static std::string digest(const std::string& text) {  // FNV-1a
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
    std::ostringstream out;
    out << std::hex << hash;
    return out.str();
  }

  Meter meter_;
  study::CrossvalSettings settings_;
  data::Dataset cohort_;
  study::Target target_;
  std::string plans_;
  std::string scores_;  // of the first round since setup
  bool ready_ = false;
};

}  // namespace gliograd::bench
