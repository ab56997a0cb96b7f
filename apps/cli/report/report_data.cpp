#include "apps/cli/report/report_data.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/cli/config_file.hpp"
#include "apps/cli/run_folder.hpp"
#include "apps/study/baselines.hpp"
#include "apps/study/ledger.hpp"
#include "apps/study/predictions.hpp"
#include "apps/study/target.hpp"
#include "data/readers/prepared_set.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/error.hpp"

namespace gliograd::cli::report {
namespace {

namespace fs = std::filesystem;
using study::ScoredPatient;

std::string setting(const ReportData& report, const std::string& name) {
  const auto found = report.config.find(name);
  return found == report.config.end() ? std::string() : found->second;
}

data::SplitKind split_of(const ReportData& report) {
  const std::string name = setting(report, "split");
  return name.empty() ? data::SplitKind::stratified : data::split_kind(name);
}

// folds.csv and the predictions must tell the same story: who was tested where.
void check_folds(const std::string& path, const std::vector<ScoredPatient>& rows) {
  const study::CsvRecords records = study::parse_csv(read_text(path), path);
  if (records.fields.empty() ||
      records.fields[0] != std::vector<std::string>{"patient", "repeat", "fold"}) {
    throw Error(concat_text(path, ": the header must be patient,repeat,fold"));
  }
  std::map<std::pair<std::string, std::string>, std::string> fold_of;
  for (size_t i = 1; i < records.fields.size(); ++i) {
    const std::vector<std::string>& row = records.fields[i];
    if (row.size() != 3) {
      throw Error(concat_text(path, ": line ", records.lines[i], ": expected patient,repeat,fold"));
    }
    fold_of[{row[0], row[1]}] = row[2];
  }
  for (const ScoredPatient& row : rows) {
    const auto found = fold_of.find({row.id, std::to_string(row.repeat)});
    if (found == fold_of.end() || found->second != std::to_string(row.fold)) {
      throw Error(concat_text(path, ": patient ", row.id, " was scored in fold ", row.fold,
                              " of repeat ", row.repeat, ", which this file does not say"));
    }
  }
}

void read_metrics(const std::string& path, ReportData& report) {
  if (!fs::exists(path)) return;
  try {
    const nlohmann::json json = nlohmann::json::parse(read_text(path));
    const double auc = json.at("auc").get<double>();
    if (!(std::abs(auc - report.metrics.auc) < 1e-6)) {
      throw Error(
          concat_text(path, ": auc is ", auc, ", but predictions.csv gives ", report.metrics.auc));
    }
    if (json.contains("seconds")) report.seconds = json.at("seconds").get<double>();
    if (json.contains("peak_bytes")) report.peak_bytes = json.at("peak_bytes").get<double>();
  } catch (const nlohmann::json::exception& error) {
    throw Error(concat_text(path, ": damaged: ", error.what()));
  }
}

void read_curves(const std::string& run, const std::vector<ScoredPatient>& rows,
                 ReportData& report) {
  std::vector<std::pair<int, int>> folds;
  for (const ScoredPatient& row : rows) folds.emplace_back(row.repeat, row.fold);
  std::sort(folds.begin(), folds.end());
  folds.erase(std::unique(folds.begin(), folds.end()), folds.end());
  for (const auto& [repeat, fold] : folds) {
    const std::string path = concat_text(run, "/fold-", repeat, "-", fold, "/history.csv");
    if (!fs::exists(path)) continue;
    std::vector<Epoch>& curve = report.curves.emplace_back();
    for (const study::HistoryRow& row : parse_history(read_text(path), path)) {
      curve.push_back(
          {static_cast<double>(row.epoch), row.train_loss, row.inner_loss, row.inner_auc});
    }
    if (curve.empty()) report.curves.pop_back();
  }
  if (report.curves.empty()) report.missing["curves"] = "the folder holds no history.csv of a fold";
}

void read_permutations(const std::string& path, ReportData& report) {
  if (!fs::exists(path)) {
    report.missing["permutations"] = "none was run; crossval --permute 19 adds it";
    return;
  }
  const study::CsvRecords records = study::parse_csv(read_text(path), path);
  for (size_t i = 0; i < records.fields.size(); ++i) {
    const std::vector<std::string>& row = records.fields[i];
    if (i == 0 && row == std::vector<std::string>{"index", "auc"}) continue;
    double auc = -1;
    if (i > 0 && row.size() == 2) {
      std::from_chars(row[1].data(), row[1].data() + row[1].size(), auc);
    }
    if (!(auc >= 0 && auc <= 1)) {
      throw Error(concat_text(path, ": line ", records.lines[i], ": expected index,auc"));
    }
    report.permutations.push_back(auc);
  }
  if (report.permutations.empty()) report.missing["permutations"] = "none has finished";
}

// The rows of patients that are in `ids`, which is sorted.
std::vector<ScoredPatient> rows_of(const std::vector<ScoredPatient>& rows,
                                   const std::vector<std::string>& ids) {
  std::vector<ScoredPatient> out;
  for (const ScoredPatient& row : rows) {
    if (std::binary_search(ids.begin(), ids.end(), row.id)) out.push_back(row);
  }
  return out;
}

// A baseline's name in words; columns of an age are called that.
std::string shown_name(std::string name, const std::vector<std::string>& ages) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = name.find(from, at)) != std::string::npos; at += to.size()) {
      name.replace(at, from.size(), to);
    }
  };
  replace("inverse_bevr", "1 / ellipsoid volume ratio");
  replace("angular_std", "angular deviation");
  if (ages.size() == 1) replace(ages.front(), "age");
  replace("_", " ");
  return name;
}

Arm network_arm(const ReportData& report) {
  Arm arm;
  arm.name = "this network";
  arm.kind = "network";
  arm.n = report.metrics.n;
  arm.positives = report.metrics.positives;
  arm.auc = report.metrics.auc;
  arm.ci = report.metrics.ci;
  return arm;
}

// Each baseline is tested on all the patients that it has itself (an age may be missing), so this
// is no study::compare_arms, which tests all arms on the patients that every one of them has.
Arm baseline_arm(const study::Baseline& baseline, const std::string& name,
                 const std::vector<ScoredPatient>& network, bool binary, bool within) {
  Arm arm;
  arm.name = name;
  arm.kind = study::name_of(baseline.kind);
  arm.shortcut = baseline.kind == study::BaselineKind::shortcut;
  const study::Gathered mine = study::gather(baseline.rows, baseline.name);
  arm.n = static_cast<int>(mine.ids.size());
  if (!binary) {
    const study::MacroAuc macro = study::macro_auc(mine, within, baseline.name);
    arm.auc = macro.auc;
    arm.ci = macro.interval;
    return arm;
  }
  arm.positives = static_cast<int>(std::count(mine.labels.begin(), mine.labels.end(), 1));
  const study::Scores scores = study::against_rest(mine, 1, within, baseline.name);
  arm.auc = study::auc(scores);
  arm.ci = study::delong_interval(scores);
  const study::Gathered other = study::gather(rows_of(network, mine.ids), "this network");
  arm.paired = study::paired_delong(study::against_rest(other, 1, within, "this network"), scores);
  return arm;
}

// The split as the predictions tell it, for the patients of the set.
data::Split split_of_rows(const data::Dataset& set, const study::Target& target,
                          const std::vector<ScoredPatient>& rows, data::SplitKind kind) {
  std::map<std::string, size_t> index;
  for (size_t p = 0; p < set.patients.size(); ++p) index[set.patients[p].id] = p;
  data::Split split;
  split.kind = kind;
  for (const ScoredPatient& row : rows) {
    const auto found = index.find(row.id);
    if (found == index.end()) throw Error(concat_text(set.name, ": has no patient ", row.id));
    if (target.labels[found->second] != row.label) {
      throw Error(
          concat_text(set.name, ": patient ", row.id, " has another label than in the run"));
    }
    split.repeats = std::max(split.repeats, row.repeat + 1);
    split.folds = std::max(split.folds, row.fold + 1);
    split.fold_of.resize(split.repeats, std::vector<int32_t>(set.patients.size(), -1));
    split.fold_of[row.repeat][found->second] = row.fold;
  }
  for (int f = 0; f < split.folds; ++f) split.fold_names.push_back(std::to_string(f));
  return split;
}

void compare(const data::Dataset& set, const study::Target& target,
             const std::vector<ScoredPatient>& rows, ReportData& report) {
  const data::SplitKind kind = split_of(report);
  const data::Split split = split_of_rows(set, target, rows, kind);
  const std::vector<std::string> ages = study::age_columns(set);
  std::vector<std::optional<double>> p;
  for (const study::Baseline& baseline :
       study::baselines(set, target, split, {.covariates = ages})) {
    report.arms.push_back(baseline_arm(baseline, shown_name(baseline.name, ages), rows,
                                       report.binary, kind == data::SplitKind::site));
    const auto& paired = report.arms.back().paired;
    p.push_back(paired ? paired->p : std::nullopt);
  }
  if (report.binary) {
    const std::vector<std::optional<double>> corrected = study::holm(p);
    for (size_t i = 0; i < corrected.size(); ++i) report.arms[i + 1].p_holm = corrected[i];
  }
  if (report.arms.size() == 1) report.missing["arms"] = "the set has no shape, age or site";
}

// How classes are shown: "rest" and "COCCluster 2", or every class with its column's name.
std::vector<std::string> shown_classes(const std::string& target,
                                       const std::vector<std::string>& names) {
  const size_t equals = target.find('=');
  const std::string column = target.substr(0, equals);
  if (equals != std::string::npos) return {"rest", column + " " + target.substr(equals + 1)};
  std::vector<std::string> shown;
  for (const std::string& name : names) shown.push_back(concat_text(column, " ", name));
  return shown;
}

std::vector<std::string> numbers(int count) {
  std::vector<std::string> names;
  for (int c = 0; c < count; ++c) names.push_back(std::to_string(c));
  return names;
}

// What needs the prepared set: class names, baselines, example slices. A set that was named by an
// option must fit; the one of config.toml may be gone by now.
void use_prepared_set(const ReportOptions& options, const std::vector<ScoredPatient>& rows,
                      ReportData& report) {
  const std::string path = options.data.empty() ? setting(report, "run.data") : options.data;
  try {
    if (path.empty()) throw Error("config.toml names no prepared set");
    const data::Dataset set = data::read_prepared(path);
    const std::string digest = setting(report, "run.digest");
    if (!digest.empty() && digest != set.digest) {
      throw Error(concat_text(path, ": is not the set that this run was made with"));
    }
    const study::Target target = study::make_target(set, report.target);
    report.classes = shown_classes(report.target, target.classes);
    compare(set, target, rows, report);
    report.examples = choose_examples(set, report.patients, report.classes,
                                      std::atoll(setting(report, "window").c_str()));
  } catch (const Error& error) {
    if (!options.data.empty()) throw;
    report.arms.resize(1);  // the network alone
    report.missing["arms"] = report.missing["examples"] =
        concat_text("the prepared set cannot be used (", error.what(), "); --data names another");
  }
}

void use_ledger(const ReportOptions& options, ReportData& report) {
  std::string path = options.ledger;
  if (path.empty()) {
    const std::string data = options.data.empty() ? setting(report, "run.data") : options.data;
    path = setting(report, "run.ledger");
    if (path.empty() && !data.empty()) path = (fs::path(data).parent_path() / "looks.csv").string();
  }
  if (path.empty() || !fs::exists(path)) {
    if (!options.ledger.empty()) throw Error(concat_text(path, ": no such file"));
    report.missing["looks"] = "there is no ledger beside the prepared set; --ledger names another";
    return;
  }
  // By its name alone: a page that is passed on says nothing of folders.
  report.looks = Looks{study::count_looks(study::read_ledger(path), report.target),
                       fs::path(path).filename().string()};
}

}  // namespace

ReportData read_report(const ReportOptions& options) {
  const std::string& run = options.run;
  if (!fs::exists(run)) throw Error(concat_text(run, ": no such folder"));
  if (!fs::is_directory(run)) throw Error(concat_text(run, ": a run folder is wanted, not a file"));
  for (const char* name : {"config.toml", "folds.csv", "predictions.csv"}) {
    if (!fs::exists(run + "/" + name)) {
      throw Error(concat_text(run, ": has no ", name, "; not the folder of a finished run"));
    }
  }
  ReportData report;
  report.run = run;
  report.note = options.note;
  report.config = read_config(run + "/config.toml");
  report.target = setting(report, "target");
  if (report.target.empty()) throw Error(concat_text(run, "/config.toml: has no target"));
  const std::string path = run + "/predictions.csv";
  const std::vector<ScoredPatient> rows = study::read_predictions(path);
  check_folds(run + "/folds.csv", rows);

  report.patients = study::gather(rows, path);
  report.binary = report.patients.columns() == 1;
  report.classes = shown_classes(report.target, numbers(report.patients.class_count()));
  report.arms.emplace_back();  // the network's place
  use_prepared_set(options, rows, report);
  const data::SplitKind kind = split_of(report);
  report.metrics = study::summarize(rows, path, {.split = kind, .classes = report.classes});
  read_metrics(run + "/metrics.json", report);
  for (int c = report.binary ? 1 : 0; c < report.patients.class_count(); ++c) {
    report.roc.push_back(study::roc_band(
        study::against_rest(report.patients, c, kind == data::SplitKind::site, path)));
  }
  report.arms.front() = network_arm(report);
  read_curves(run, rows, report);
  read_permutations(run + "/permutation.csv", report);
  use_ledger(options, report);
  return report;
}

}  // namespace gliograd::cli::report
