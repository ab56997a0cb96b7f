// gliograd pretrain: learns another task on other images and keeps the best epoch as a checkpoint.
#include "apps/study/pretrain.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "apps/cli/commands.hpp"
#include "apps/cli/facts.hpp"
#include "apps/cli/metrics_json.hpp"
#include "apps/cli/run_folder.hpp"
#include "apps/cli/train_options.hpp"
#include "data/readers/prepared_set.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/interrupt.hpp"
#include "models/weights/checkpoint_file.hpp"

namespace gliograd::cli {
namespace {

struct PretrainOptions {
  study::PretrainSettings settings;
  std::string data, out, device;
  bool allow_other_machine = false;
  bool no_progress = false;
  bool json = false;
};

std::string result_json(const study::PretrainResult& result) {
  const nlohmann::json json = {{"score", result.score_name},
                               {"best_score", result.best_score},
                               {"best_loss", result.best_loss},
                               {"best_epoch", result.best_epoch},
                               {"training_patients", result.training_patients},
                               {"held_out_patients", result.held_out_patients},
                               {"held_out_slices", result.held_out_slices},
                               {"seconds", result.seconds},
                               {"peak_bytes", peak_resident_bytes()}};
  return json.dump(2) + "\n";
}

void run_pretrain(const PretrainOptions& options) {
  study::PretrainSettings settings = options.settings;
  choose_device(options.device, settings.train);
  study::check_settings(settings);
  watch_for_interrupt();
  const data::Dataset set = data::read_prepared(options.data);
  study::check_pretrain(set, settings);
  RunFolder folder(options.out, study::named_settings(settings),
                   run_facts(set, options.data, settings.train.device, nullptr),
                   options.allow_other_machine);
  folder.use_plan_cache(plan_cache_of(settings.train));
  study::Progress progress("pretrain", study::pretrain_work(set, settings), "images",
                           !options.no_progress);
  const study::PretrainResult result = study::pretrain(set, settings, folder, progress);
  progress.finish();
  models::write_checkpoint(folder.file("model.h5"), result.checkpoint);
  write_atomically(folder.file("history.csv"), history_text(result.history));
  const std::string json = result_json(result);
  write_atomically(folder.file("metrics.json"), json);
  if (options.json) {
    fmt::print("{}", json);
    return;
  }
  fmt::print("task {}: held-out {} {:.3f} (log-loss {:.3f}) in epoch {} of {}\n", settings.task,
             result.score_name, result.best_score, result.best_loss, result.best_epoch,
             settings.train.epochs);
  fmt::print("trained on {} patients, scored on {} slices of {} others\n", result.training_patients,
             result.held_out_slices, result.held_out_patients);
  fmt::print("checkpoint: {}\n", folder.file("model.h5"));
}

}  // namespace

void add_pretrain(CLI::App& app) {
  auto* command = app.add_subcommand("pretrain", "pretrain a network on another set");
  command->footer(
      "Example:\n  gliograd pretrain --data gbm.h5 --task tumor --mask none --out runs/gbm\n"
      "  gliograd crossval --init runs/gbm/model.h5 --data lgg.h5 --target COCCluster=2 --out RUN");
  auto options = std::make_shared<PretrainOptions>();
  study::PretrainSettings& s = options->settings;
  s.train.mask = "none";
  add_config_option(*command);
  command->add_option("--data", options->data, "prepared set")->required()->type_name("FILE.h5");
  command->add_option("--task", s.task, "tumor (does a slice contain some) or category (a label)")
      ->capture_default_str();
  command->add_option("--out", options->out, "run folder, made or taken up")->required();
  command->add_option("--column", s.column, "label column of the task category")
      ->capture_default_str();
  command->add_option("--holdout", s.holdout, "share of the patients that is scored")
      ->capture_default_str();
  command->add_option("--holdout-from", s.holdout_from,
                      "COLUMN=VALUE: hold out among these patients alone");
  add_train_options(*command, s.train);
  add_device_options(*command, options->device, s.train);
  add_threads_option(*command, s.threads);
  command->add_flag("--allow-other-machine", options->allow_other_machine,
                    "take up a run that began on another kind of CPU");
  command->add_flag("--no-progress", options->no_progress, "no progress lines");
  command->add_flag("--json", options->json, "the scores as JSON on standard output");
  auto* intra = command->get_option("--intra-threads");
  command->callback([options, intra] {
    study::PretrainSettings& settings = options->settings;
    if (intra->count() == 0) settings.train.intra_threads = settings.threads;  // one network
    run_pretrain(*options);
  });
}

}  // namespace gliograd::cli
