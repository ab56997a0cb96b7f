// gliograd crossval: cross-validates a network on a prepared set and writes a run folder.
#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "apps/cli/commands.hpp"
#include "apps/cli/crossval_run.hpp"
#include "apps/cli/train_options.hpp"

namespace gliograd::cli {

void add_crossval(CLI::App& app) {
  auto* command = app.add_subcommand("crossval", "cross-validate a network by patient");
  command->footer(
      "Example:\n  gliograd crossval --data lgg.h5 --target COCCluster=2 --out runs/coc2-seed1\n"
      "A run that was stopped is taken up by the same command.");
  auto options = std::make_shared<CrossvalOptions>();
  auto split = std::make_shared<std::string>("stratified");
  auto select = std::make_shared<std::string>("last");
  study::CrossvalSettings& s = options->settings;
  add_config_option(*command);
  command->add_option("--data", options->data, "prepared set")->required()->type_name("FILE.h5");
  command
      ->add_option("--target", s.target, "COLUMN=VALUE (against the rest) or COLUMN (all classes)")
      ->required();
  command->add_option("--out", options->out, "run folder, made or taken up")->required();
  command->add_option("--split", *split, "stratified, site (leave one out) or patient")
      ->capture_default_str();
  command->add_option("--folds", s.folds, "of a stratified split")->capture_default_str();
  command->add_option("--repeats", s.repeats, "other shuffles of a stratified split")
      ->capture_default_str();
  command->add_option("--select", *select, "how epochs are chosen: last, holdout or inner")
      ->capture_default_str();
  command->add_option("--permute", s.permutations, "also run with labels shuffled, N times")
      ->capture_default_str();
  add_train_options(*command, s.train);
  add_device_options(*command, options->device, s.train);
  add_threads_option(*command, s.threads);
  command
      ->add_option("--concurrent-folds", s.concurrent_folds,
                   "folds at once; 0: threads / intra-threads, on a GPU at most 8")
      ->capture_default_str();
  command->add_option("--ledger", options->ledger,
                      "CSV of looks; default: beside the prepared set");
  command->add_option("--mapping", s.mapping, "CSV of names that are the same patient");
  command->add_flag("--assume-disjoint", s.assume_disjoint,
                    "accept a checkpoint whose patients are not known");
  command->add_flag("--allow-other-machine", options->allow_other_machine,
                    "take up a run that began on another kind of CPU");
  command->add_flag("--no-progress", options->no_progress, "no progress lines");
  command->add_flag("--json", options->json, "metrics as JSON on standard output");
  command->callback([options, split, select] {
    options->settings.split = data::split_kind(*split);
    options->settings.select = study::select_named(*select);
    run_crossval(*options);
  });
}

}  // namespace gliograd::cli
