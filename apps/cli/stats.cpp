// gliograd stats: AUC, intervals and paired tests of finished runs, or of anybody's scores in a
// CSV. Reading order: an input (run folder or CSV) becomes prediction rows; runs that differ in
// their seed alone become one arm; arms of one target become one table.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "apps/cli/arm_table.hpp"
#include "apps/cli/commands.hpp"
#include "apps/cli/config_file.hpp"
#include "data/readers/csv.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/error.hpp"
#include "engine/core/log.hpp"

namespace gliograd::cli {
namespace {

namespace fs = std::filesystem;

struct StatsCommand {
  std::vector<std::string> inputs;
  std::string against, positive, split;
  bool each = false, as_json = false;
  study::BootstrapOptions bootstrap;
};

/// One finished run.
struct Run {
  std::string name;    // of its folder or file
  std::string path;    // as given
  std::string target;  // of config.toml; empty where unknown
  std::string note;
  data::SplitKind split = data::SplitKind::stratified;
  std::vector<study::ScoredPatient> rows;
};

// ---- Run folders
// ---------------------------------------------------------------------------------

void read_settings(const std::string& path, Run& run) {
  std::map<std::string, std::string> settings = read_config(path);
  run.target = settings["target"];
  if (!settings["split"].empty()) run.split = data::split_kind(settings["split"]);
  if (settings["assume-disjoint"] == "true" && !settings["init"].empty()) {
    run.note = "it was assumed, not checked, that pretraining saw none of these patients";
  }
}

// permutation.csv: index,auc. What it says of one run alone.
std::string permutation_note(const std::string& path, const Run& run) {
  const study::CsvRecords records = study::parse_csv(read_text(path), path);
  std::vector<double> aucs;
  for (size_t r = 1; r < records.fields.size(); ++r) {
    const std::vector<std::string>& fields = records.fields[r];
    const std::optional<double> auc =
        fields.size() == 2 ? data::number_in(fields[1], ',') : std::nullopt;
    if (!auc || !(*auc >= 0 && *auc <= 1)) {
      throw Error(fmt::format("{}: line {}: needs index,auc", path, records.lines[r]));
    }
    aucs.push_back(*auc);
  }
  if (aucs.empty()) return "";
  const bool within = run.split == data::SplitKind::site;
  const double observed =
      study::macro_influence(study::gather(run.rows, run.path), within, run.path).auc;
  return fmt::format("{} permutations: mean AUC {:.3f}, p = {:.3g}", aucs.size(),
                     study::spread_of(aucs).mean, study::permutation_p(observed, aucs));
}

Run read_run(const std::string& folder) {
  Run run;
  run.path = folder;
  run.name = fs::path(folder).lexically_normal().filename().string();
  if (run.name.empty() || run.name == ".") {
    run.name = fs::absolute(folder).lexically_normal().parent_path().filename().string();
  }
  run.rows = study::read_predictions(folder + "/predictions.csv");
  if (fs::exists(folder + "/config.toml")) read_settings(folder + "/config.toml", run);
  if (fs::exists(folder + "/permutation.csv")) {
    const std::string said = permutation_note(folder + "/permutation.csv", run);
    run.note += (run.note.empty() || said.empty() ? "" : "; ") + said;
  }
  return run;
}

// ---- Other people's tables
// -----------------------------------------------------------------------

int whole_number(const data::CsvTable& table, size_t row, const std::string& column) {
  const std::string& field = table.rows[row][table.column(column)];
  int value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || end != field.data() + field.size() || value < 0) {
    throw Error(fmt::format("{}: line {}: {} \"{}\" is not a whole number from 0 up", table.name,
                            table.lines[row], column, field));
  }
  return value;
}

std::vector<std::string> score_columns(const data::CsvTable& table) {
  const auto numbered = std::count_if(
      table.header.begin(), table.header.end(),
      [](const std::string& name) { return name.rfind("score_", 0) == 0 && name.size() > 6; });
  if (table.has_column("score") || numbered == 0) {
    table.column("score");  // refuses with the names that exist
    return {"score"};
  }
  std::vector<std::string> columns;
  while (table.has_column(fmt::format("score_{}", columns.size()))) {
    columns.push_back(fmt::format("score_{}", columns.size()));
  }
  if (columns.size() < 2 || static_cast<int64_t>(columns.size()) != numbered) {
    throw Error(
        fmt::format("{}: has {} columns score_...; they must be score_0, score_1 and so on, "
                    "one a class",
                    table.name, numbered));
  }
  return columns;
}

// Index of each class name: of --positive against the rest, of numbers as they are, or in order.
std::map<std::string, int> classes_of(const data::CsvTable& table, const std::string& positive,
                                      size_t columns) {
  std::set<std::string> found;
  const size_t label = table.column("label");
  for (const auto& row : table.rows) {
    if (!data::is_missing(row[label])) found.insert(row[label]);
  }
  std::vector<std::string> names(found.begin(), found.end());
  std::sort(names.begin(), names.end(), data::class_before);
  std::map<std::string, int> index;
  if (!positive.empty()) {
    if (found.count(positive) == 0) {
      throw Error(fmt::format("{}: no label is \"{}\" (--positive); there are: {}", table.name,
                              positive, fmt::join(names, ", ")));
    }
    for (const std::string& name : names) index[name] = name == positive;
    return index;
  }
  const size_t classes = columns == 1 ? 2 : columns;
  const bool numbered = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return name.size() == 1 && name[0] >= '0' && static_cast<size_t>(name[0] - '0') < classes;
  });
  if (names.size() > classes) {
    throw Error(fmt::format(
        "{}: {} labels ({}) for {}; name one with --positive", table.name, names.size(),
        fmt::join(names, ", "),
        columns == 1 ? std::string("one score") : fmt::format("{} score columns", columns)));
  }
  for (size_t k = 0; k < names.size(); ++k) {
    index[names[k]] = numbered ? names[k][0] - '0' : static_cast<int>(k);
  }
  if (!numbered && columns == 1) {
    log_info(fmt::format("{}: a high score is taken to mean \"{}\"; --positive names another",
                         table.name, names.back()));
  }
  return index;
}

Run read_table(const std::string& path, const std::string& positive) {
  const data::CsvTable table = data::read_csv(path);
  const std::vector<std::string> scores = score_columns(table);
  if (!positive.empty() && scores.size() > 1) {
    throw Error(path + ": --positive needs one score column, \"score\"");
  }
  const std::map<std::string, int> classes = classes_of(table, positive, scores.size());
  const size_t patient = table.column("patient"), label = table.column("label");
  Run run;
  run.path = path;
  run.name = fs::path(path).stem().string();
  size_t unlabeled = 0;
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const std::vector<std::string>& fields = table.rows[r];
    if (data::is_missing(fields[label])) {
      ++unlabeled;
      continue;
    }
    study::ScoredPatient& row = run.rows.emplace_back();
    row.id = fields[patient];
    row.label = classes.at(fields[label]);
    if (table.has_column("site")) row.site = fields[table.column("site")];
    if (table.has_column("repeat")) row.repeat = whole_number(table, r, "repeat");
    if (table.has_column("fold")) row.fold = whole_number(table, r, "fold");
    for (const std::string& column : scores) {
      const std::string& field = fields[table.column(column)];
      const std::optional<double> score = data::number_in(field, table.separator);
      if (!score) {
        throw Error(fmt::format("{}: line {}: patient {} has the score \"{}\", which is no number",
                                path, table.lines[r], row.id, field));
      }
      row.scores.push_back(*score);
    }
  }
  if (unlabeled > 0) log_info(fmt::format("{}: {} rows without a label left out", path, unlabeled));
  study::check_predictions(run.rows, path);
  return run;
}

// What has no AUC is refused here, where the file's name is known.
void check_scores(const Run& run) {
  const bool within = run.split == data::SplitKind::site;
  const bool sites = std::any_of(run.rows.begin(), run.rows.end(),
                                 [](const study::ScoredPatient& row) { return !row.site.empty(); });
  if (within && !sites) throw Error(run.path + ": names no sites; a split by site needs them");
  study::macro_influence(study::gather(run.rows, run.path), within, run.path);
}

// ---- Inputs, arms, tables
// ------------------------------------------------------------------------

// A folder of run folders stands for all of them, in order of their names.
std::vector<std::string> expanded(const std::vector<std::string>& inputs) {
  std::vector<std::string> out;
  for (const std::string& input : inputs) {
    if (!fs::is_directory(input) || fs::exists(fs::path(input) / "predictions.csv")) {
      out.push_back(input);
      continue;
    }
    std::vector<std::string> inside;
    for (const fs::directory_entry& entry : fs::directory_iterator(input)) {
      if (fs::exists(entry.path() / "predictions.csv")) inside.push_back(entry.path().string());
    }
    if (inside.empty()) {
      throw Error(input + ": holds no predictions.csv and no finished run folder");
    }
    std::sort(inside.begin(), inside.end(), data::class_before);
    out.insert(out.end(), inside.begin(), inside.end());
  }
  std::set<fs::path> seen;
  for (const std::string& path : out) {
    if (!seen.insert(fs::weakly_canonical(path)).second) throw Error(path + ": is given twice");
  }
  return out;
}

// "ours-2" and "ours-seed2" are seed 2 of arm "ours".
std::string arm_name(const std::string& run) {
  static const std::regex kPattern("(.+)-(seed)?[0-9]+");
  std::smatch found;
  return std::regex_match(run, found, kPattern) ? found[1].str() : run;
}

std::vector<study::Arm> arms_of(const std::vector<const Run*>& runs, bool each) {
  std::vector<study::Arm> arms;
  for (const Run* run : runs) {
    const std::string name = each ? run->name : arm_name(run->name);
    auto arm = std::find_if(arms.begin(), arms.end(), [&](const study::Arm& known) {
      return !each && known.name == name && known.split == run->split;
    });
    if (arm == arms.end()) {
      arm = arms.insert(arms.end(), study::Arm());
      arm->name = name;
      arm->split = run->split;
    }
    arm->runs.push_back(run->rows);
    arm->run_names.push_back(run->path);
    if (!run->note.empty()) {
      arm->note +=
          (arm->note.empty() ? "" : "; ") + (run->name == name ? "" : run->name + ": ") + run->note;
    }
  }
  // Two runs of one name from different folders, or of different splits, are told apart.
  std::map<std::string, int> uses;
  for (const study::Arm& arm : arms) ++uses[arm.name];
  for (study::Arm& arm : arms) {
    if (uses[arm.name] > 1) arm.name = arm.run_names.front();
  }
  return arms;
}

size_t reference_of(const std::vector<study::Arm>& arms, const std::string& against) {
  if (against.empty()) return 0;
  std::vector<std::string> names;
  for (size_t a = 0; a < arms.size(); ++a) {
    const std::vector<std::string>& runs = arms[a].run_names;
    if (arms[a].name == against || std::find(runs.begin(), runs.end(), against) != runs.end()) {
      return a;
    }
    names.push_back(arms[a].name);
  }
  throw Error(
      fmt::format("--against {}: no such arm; there are: {}", against, fmt::join(names, ", ")));
}

void run_stats(const StatsCommand& command) {
  std::vector<Run> runs;
  for (const std::string& input : expanded(command.inputs)) {
    if (!fs::exists(input)) throw Error(input + ": No such file or directory");
    runs.push_back(fs::is_directory(input) ? read_run(input) : read_table(input, command.positive));
    Run& run = runs.back();
    if (!command.split.empty()) run.split = data::split_kind(command.split);
    check_scores(run);
  }
  // A CSV knows no target: it belongs to the runs' only one.
  std::vector<std::string> targets;
  for (const Run& run : runs) {
    const bool known = std::find(targets.begin(), targets.end(), run.target) != targets.end();
    if (!run.target.empty() && !known) targets.push_back(run.target);
  }
  if (targets.empty()) targets.push_back("");
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const std::string& target : targets) {
    std::vector<const Run*> chosen;
    for (const Run& run : runs) {
      if (run.target == target || run.target.empty()) {
        if (run.target != target && targets.size() > 1) {
          throw Error(fmt::format("{}: which target is it of? The runs have {}", run.path,
                                  fmt::join(targets, ", ")));
        }
        chosen.push_back(&run);
      }
    }
    const std::vector<study::Arm> arms = arms_of(chosen, command.each);
    study::ComparisonOptions options;
    options.bootstrap = command.bootstrap;
    options.reference = reference_of(arms, command.against);
    const study::Comparison comparison = study::compare_arms(arms, options);
    const ArmTableOptions shown{.target = target};
    if (command.as_json) {
      all.push_back(nlohmann::ordered_json::parse(arm_json(comparison, shown)));
    } else {
      fmt::print("{}{}", target == targets.front() ? "" : "\n", arm_table(comparison, shown));
    }
  }
  if (command.as_json) fmt::print("{}\n", all.dump(2));
}

}  // namespace

void add_stats(CLI::App& app) {
  auto* command =
      app.add_subcommand("stats", "AUC, intervals and paired tests of runs, or of any CSV");
  command->footer(
      "RUN is a run folder, a folder of run folders, or a CSV with the columns patient, label and\n"
      "score (or score_0, score_1, ...; also site, repeat, fold). Runs named ARM-SEED are one "
      "arm.\n"
      "docs/statistics.md says how each number is computed.\n"
      "Examples:\n"
      "  gliograd stats runs/random-1 runs/random-2 runs/gbm-1 runs/gbm-2 --against random\n"
      "  gliograd stats scores.csv --positive IDH-wt --json");
  auto options = std::make_shared<StatsCommand>();
  command->add_option("runs", options->inputs, "run folders or CSV files")
      ->required()
      ->type_name("RUN");
  command->add_option("--against", options->against,
                      "arm that the others are tested against; default: the first");
  command->add_option("--positive", options->positive,
                      "of a CSV: the label that a high score speaks for, against all others");
  command->add_option("--split", options->split,
                      "stratified, site (pairs within a site) or patient; default: as run");
  command->add_flag("--each", options->each, "every run an arm of its own, seeds too");
  command->add_option("--draws", options->bootstrap.draws, "resamples of the bootstrap")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--seed", options->bootstrap.seed, "of the bootstrap")->capture_default_str();
  command->add_flag("--json", options->as_json, "print a JSON array, one object a target");
  command->callback([options] { run_stats(*options); });
}

}  // namespace gliograd::cli
