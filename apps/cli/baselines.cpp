// gliograd baselines: what a network has to beat, and what it might live on, in its own folds.
#include "apps/study/baselines.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cctype>
#include <filesystem>

#include "apps/cli/arm_table.hpp"
#include "apps/cli/commands.hpp"
#include "data/readers/prepared_set.hpp"
#include "engine/core/log.hpp"

namespace gliograd::cli {
namespace {

struct BaselinesCommand {
  std::string data, target, out;
  std::string split = "stratified";
  data::SplitOptions splits;
  std::vector<std::string> covariates;
  study::BootstrapOptions bootstrap;
  bool as_json = false;
};

// "logistic: shape + age" becomes "logistic-shape-age".
std::string file_stem(const std::string& name) {
  std::string stem;
  for (const char c : name) {
    const bool kept = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    if (kept) {
      stem += c;
    } else if (!stem.empty() && stem.back() != '-') {
      stem += '-';
    }
  }
  return stem;
}

void write_all(const std::string& folder, const std::vector<study::Baseline>& all) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw Error(folder + ": " + failed.message());
  for (const study::Baseline& baseline : all) {
    study::write_predictions(folder + "/" + file_stem(baseline.name) + ".csv", baseline.rows);
  }
}

void run(const BaselinesCommand& command) {
  const data::Dataset set = data::read_prepared(command.data);
  const study::Target target = study::make_target(set, command.target);
  data::SplitOptions splits = command.splits;
  splits.kind = data::split_kind(command.split);
  const data::Split split = data::make_split(set, target.labels, splits);
  if (!split.note.empty()) log_info("note: " + split.note);
  study::BaselineOptions options;
  options.covariates = command.covariates.empty() ? study::age_columns(set) : command.covariates;
  const std::vector<study::Baseline> all = study::baselines(set, target, split, options);
  if (all.empty()) throw Error(set.name + ": has no shape, covariate or shortcut to score");

  study::Comparison table;  // each alone: they are no arms of one another
  for (const study::Baseline& baseline : all) {
    study::Arm arm;
    arm.name = fmt::format("{} ({})", baseline.name, study::name_of(baseline.kind));
    arm.runs = {baseline.rows};
    arm.run_names = {baseline.name};
    arm.split = split.kind;
    study::ComparisonOptions one;
    one.bootstrap = command.bootstrap;
    if (!target.one_against_rest) one.classes = target.classes;
    table.arms.push_back(study::compare_arms({arm}, one).arms.front());
  }
  if (!command.out.empty()) write_all(command.out, all);
  const ArmTableOptions shown{.target = target.text, .paired = false};
  fmt::print("{}", command.as_json ? arm_json(table, shown) : arm_table(table, shown));
}

}  // namespace

void add_baselines(CLI::App& app) {
  auto* command = app.add_subcommand(
      "baselines", "shape, age and shortcuts (site, sequences, ...) in a network's folds");
  command->footer(
      "raw: one number as it is, its sign fixed beforehand (irregular, large or old speaks for "
      "the\n"
      "class). fitted and shortcut: logistic regression inside each fold. The same --split, "
      "--folds,\n"
      "--repeats and --seed as a crossval give the same folds.\n"
      "Example:\n"
      "  gliograd baselines --data lgg.h5 --target COCCluster=2 --out baselines\n"
      "  gliograd stats runs/coc2-1 baselines/logistic-shape.csv");
  auto options = std::make_shared<BaselinesCommand>();
  command->add_option("--data", options->data, "prepared set")->required()->type_name("FILE.h5");
  command->add_option("--target", options->target, "COLUMN=VALUE (against the rest) or COLUMN")
      ->required();
  command->add_option("--out", options->out, "folder for the predictions, one CSV a baseline");
  command->add_option("--split", options->split, "stratified, site (leave one out) or patient")
      ->capture_default_str();
  command->add_option("--folds", options->splits.folds, "of a stratified split")
      ->capture_default_str();
  command->add_option("--repeats", options->splits.repeats, "other shuffles of a stratified split")
      ->capture_default_str();
  command->add_option("--seed", options->splits.seed, "of the folds")->capture_default_str();
  command
      ->add_option("--covariates", options->covariates,
                   "columns to score beside shape; default: age, where the set has it")
      ->delimiter(',');
  command->add_option("--draws", options->bootstrap.draws, "resamples of the bootstrap")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_flag("--json", options->as_json, "print a JSON object");
  command->callback([options] { run(*options); });
}

}  // namespace gliograd::cli
