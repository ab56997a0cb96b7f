#include "apps/cli/run_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/cli/fold_state_file.hpp"
#include "apps/cli/plan_cache.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/error.hpp"
#include "engine/device/plan_choices.hpp"
#include "models/weights/checkpoint_file.hpp"

namespace gliograd::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kMostPermutations = 8191;  // as --permute
constexpr const char* kHistoryHeader = "epoch,steps,lr,train_loss,inner_loss,inner_auc";

// Opens and locks the folder for this process. The lock goes with the descriptor.
int lock_folder(const std::string& path) {
  const std::string file = path + "/lock";
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) throw WorkError(concat_text(file, ": ", std::strerror(errno)));
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    close(descriptor);
    throw Error(concat_text(path, ": in use by another process"));
  }
  return descriptor;
}

// A folder with files of somebody else's in it. What a run that was killed at once leaves is none.
void refuse_other_folder(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error) || fs::exists(path + "/config.toml", error)) return;
  for (const auto& entry : fs::directory_iterator(path)) {
    const fs::path name = entry.path().filename();
    if (name == "lock" || name == "config.toml.part") continue;
    throw Error(path + ": holds files but no config.toml; not a run folder");
  }
}

// What a run may not change when it is taken up.
void compare_config(const std::string& file, const std::vector<study::NamedSetting>& settings,
                    const RunFacts& facts, bool allow_other_machine) {
  const std::map<std::string, std::string> before = read_config(file);
  const auto check = [&](const std::string& name, const std::string& now, const char* hint) {
    const auto found = before.find(name);
    const std::string then = found == before.end() ? "(absent)" : found->second;
    if (then == now) return;
    throw Error(
        concat_text(file, ": the run was made with ", name, " = ", then, ", not ", now, hint));
  };
  for (const study::NamedSetting& setting : settings) {
    if (setting.compared) check(setting.name, setting_text(setting), "; take another --out");
  }
  for (const auto& [name, value] : facts.run) {
    if (name == "digest") check("run.digest", value, ": the data has changed");
    if (name == "init-digest" && before.count("run.init-digest") != 0) {
      check("run.init-digest", value, ": the checkpoint has changed");
    }
  }
  if (allow_other_machine) return;
  for (const auto& [name, value] : facts.machine) {
    check("machine." + name, value,
          "; bits may differ, --allow-other-machine takes the run up all the same");
  }
}

// timing.json: what may differ from run to run, so it is kept out of the other files.
void write_timing(const std::string& path, const study::FoldResult& result) {
  const nlohmann::json json = {{"seconds", result.seconds}, {"peak_bytes", result.peak_bytes}};
  write_atomically(path, json.dump(2) + "\n");
}

void read_timing(const std::string& path, study::FoldResult& result) {
  try {
    const nlohmann::json json = nlohmann::json::parse(read_text(path));
    result.seconds = json.at("seconds").get<double>();
    result.peak_bytes = json.at("peak_bytes").get<int64_t>();
  } catch (const nlohmann::json::exception& error) {
    throw Error(concat_text(path, ": damaged: ", error.what()));
  }
}

std::string number(double value) {
  if (std::isnan(value)) return "";
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  return {text, end};
}

double parse_number(const std::string& field, const std::string& name, int64_t line) {
  if (field.empty()) return NAN;
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || end != field.data() + field.size()) {
    throw Error(concat_text(name, ": line ", line, ": \"", field, "\" is not a number"));
  }
  return value;
}

}  // namespace

std::string history_text(const std::vector<study::HistoryRow>& history) {
  std::string text = std::string(kHistoryHeader) + "\n";
  for (const study::HistoryRow& row : history) {
    text += concat_text(row.epoch, ',', row.steps, ',', number(row.lr), ',', number(row.train_loss),
                        ',', number(row.inner_loss), ',', number(row.inner_auc), '\n');
  }
  return text;
}

std::vector<study::HistoryRow> parse_history(const std::string& text, const std::string& name) {
  const study::CsvRecords records = study::parse_csv(text, name);
  std::vector<study::HistoryRow> history;
  for (size_t i = 0; i < records.fields.size(); ++i) {
    const std::vector<std::string>& fields = records.fields[i];
    if (fields.size() != 6) {
      throw Error(concat_text(name, ": line ", records.lines[i], ": expected ", kHistoryHeader));
    }
    if (i == 0) {
      std::string header;
      for (const std::string& field : fields) header += (header.empty() ? "" : ",") + field;
      if (header != kHistoryHeader) {
        throw Error(concat_text(name, ": the header must be ", kHistoryHeader, "; got ", header));
      }
      continue;
    }
    const auto value = [&](int f) { return parse_number(fields[f], name, records.lines[i]); };
    for (const int f : {0, 1}) {
      if (!(value(f) >= 0 && value(f) <= 1e9)) {
        throw Error(concat_text(name, ": line ", records.lines[i], ": ", fields[f],
                                " is no count of epochs or steps"));
      }
    }
    history.push_back({static_cast<int>(value(0)), static_cast<int64_t>(value(1)), value(2),
                       value(3), value(4), value(5)});
  }
  return history;
}

RunFolder::RunFolder(const std::string& path, const std::vector<study::NamedSetting>& settings,
                     const RunFacts& facts, bool allow_other_machine)
    : path_(path) {
  std::error_code error;
  if (fs::exists(path_, error) && !fs::is_directory(path_, error)) {
    throw Error(concat_text(path_, ": a run folder is wanted, this is a file"));
  }
  refuse_other_folder(path_);
  fs::create_directories(path_, error);
  if (error == std::errc::no_space_on_device) throw WorkError(path_ + ": " + error.message());
  if (error) throw Error(path_ + ": cannot be made: " + error.message());
  lock_ = lock_folder(path_);
  try {
    if (fs::exists(file("config.toml"))) {  // asked under the lock: another may just have made it
      compare_config(file("config.toml"), settings, facts, allow_other_machine);
    } else {
      write_atomically(file("config.toml"), config_text(settings, facts));
    }
  } catch (...) {
    close(lock_);
    throw;
  }
}

RunFolder::~RunFolder() { close(lock_); }

std::string RunFolder::fold_folder(int repeat, int fold) const {
  return file(concat_text("fold-", repeat, "-", fold));
}

void RunFolder::begin(const data::Dataset& set, const data::Split& split) {
  std::string text = "patient,repeat,fold\n";
  for (int r = 0; r < split.repeats; ++r) {
    for (size_t p = 0; p < split.fold_of[r].size(); ++p) {
      if (split.fold_of[r][p] < 0) continue;
      text +=
          concat_text(study::csv_field(set.patients[p].id), ',', r, ',', split.fold_of[r][p], '\n');
    }
  }
  write_atomically(file("folds.csv"), text);
}

std::optional<study::FoldResult> RunFolder::finished(int repeat, int fold) {
  const std::string folder = fold_folder(repeat, fold);
  if (!fs::exists(folder + "/done")) return std::nullopt;
  if (!fs::is_regular_file(folder + "/model.h5")) {
    throw Error(folder + "/model.h5: is missing, though the fold is done");
  }
  study::FoldResult result;
  result.repeat = repeat;
  result.fold = fold;
  result.history = parse_history(read_text(folder + "/history.csv"), folder + "/history.csv");
  result.predictions = study::read_predictions(folder + "/predictions.csv");
  if (fs::exists(folder + "/inner.csv"))
    result.inner = study::read_predictions(folder + "/inner.csv");
  read_timing(folder + "/timing.json", result);
  std::error_code ignored;
  fs::remove(folder + "/state.h5", ignored);  // of a run that was killed right behind `done`
  return result;
}

std::optional<study::FoldState> RunFolder::load_state(int repeat, int fold, Stream& stream) {
  const std::string path = fold_folder(repeat, fold) + "/state.h5";
  if (!fs::exists(path)) return std::nullopt;
  return read_fold_state(path, stream);
}

void RunFolder::save_state(int repeat, int fold, const study::FoldState& state) {
  const std::string folder = fold_folder(repeat, fold);
  fs::create_directories(folder);
  write_fold_state(folder + "/state.h5", state);
}

// In this order, each file synced, so that `done` stands only beside a whole result.
void RunFolder::finish(const study::FoldResult& result, const models::Checkpoint& model) {
  const std::string folder = fold_folder(result.repeat, result.fold);
  fs::create_directories(folder);
  models::write_checkpoint(folder + "/model.h5", model);
  write_atomically(folder + "/history.csv", history_text(result.history));
  if (!result.inner.empty()) study::write_predictions(folder + "/inner.csv", result.inner);
  study::write_predictions(folder + "/predictions.csv", result.predictions);
  write_timing(folder + "/timing.json", result);
  write_atomically(folder + "/done", "");
  std::error_code ignored;
  fs::remove(folder + "/state.h5", ignored);
}

std::map<int, double> RunFolder::permutations() {
  std::map<int, double> known;
  const std::string path = file("permutation.csv");
  if (!fs::exists(path)) return known;
  std::string text = read_text(path);
  text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);  // a torn last row
  const study::CsvRecords records = study::parse_csv(text, path);
  for (size_t i = 0; i < records.fields.size(); ++i) {
    const std::vector<std::string>& fields = records.fields[i];
    const auto refuse = [&](const char* what) {
      throw Error(concat_text(path, ": line ", records.lines[i], ": ", what));
    };
    if (fields.size() != 2) refuse("expected index,auc");
    if (i == 0) {
      if (fields[0] != "index" || fields[1] != "auc") refuse("the header must be index,auc");
      continue;
    }
    const double index = parse_number(fields[0], path, records.lines[i]);
    const double auc = parse_number(fields[1], path, records.lines[i]);
    if (!(index >= 1 && index <= kMostPermutations) || index != std::floor(index)) {
      refuse("an index must be a whole number from 1 up");
    }
    if (!(auc >= 0 && auc <= 1)) refuse("an AUC must be from 0 to 1");
    if (!known.emplace(static_cast<int>(index), auc).second) refuse("the index stands there twice");
  }
  return known;
}

void RunFolder::add_permutation(int index, double auc) {
  const std::lock_guard lock(mutex_);
  std::map<int, double> known = permutations();
  known[index] = auc;
  std::string text = "index,auc\n";
  for (const auto& [i, value] : known) {
    text += concat_text(i, ',', study::format_score(value), '\n');
  }
  write_atomically(file("permutation.csv"), text);
}

std::string RunFolder::load_plans() {
  const std::string path = file("plans.csv");
  // The folder's own win; the cache has what this run has not met yet.
  PlanChoices all;
  if (fs::exists(path)) all.read(read_text(path), path);
  if (const std::string cached = read_plan_cache(plan_cache_); !cached.empty()) {
    all.read(cached, plan_cache_);
  }
  return all.csv(PlanChoices::Which::all);
}

void RunFolder::save_plans(const std::string& csv) {
  write_atomically(file("plans.csv"), csv);
  add_to_plan_cache(plan_cache_, csv);
}

}  // namespace gliograd::cli
