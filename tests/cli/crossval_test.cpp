#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/study/predictions.hpp"
#include "tests/support/cohort.hpp"
#include "tests/support/run_folders.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

// The set and one run of it, which several tests look at.
struct WholeRun {
  TempDir folder;
  std::string data = write_set(tiny_cohort(), folder / "set.h5");
  std::string out = folder / "run";
  CommandResult result =
      test::gliograd(crossval(data, out, {"--ledger", folder / "looks.csv", "--repeats", "2"}));
};
const WholeRun& whole_run() {
  static const WholeRun run;
  return run;
}

std::string header_of(const std::string& path) { return lines_of(read_file(path)).at(0); }

// config.toml without the table of facts, whose date differs.
std::string settings_of(const std::string& folder) {
  const std::string text = read_file(folder + "/config.toml");
  return text.substr(0, text.find("\n[run]"));
}

}  // namespace

TEST_CASE("crossval command: a run leaves every file of the run folder and nothing else") {
  const WholeRun& run = whole_run();
  INFO(run.result.err);
  REQUIRE(run.result.code == 0);
  std::vector<std::string> expected = {"config.toml", "folds.csv", "lock", "metrics.json",
                                       "predictions.csv"};
  for (const char* fold : {"fold-0-0", "fold-0-1", "fold-0-2", "fold-1-0", "fold-1-1", "fold-1-2"})
    for (const char* name : {"done", "history.csv", "model.h5", "predictions.csv", "timing.json"})
      expected.push_back(std::string(fold) + "/" + name);
  std::sort(expected.begin(), expected.end());
  CHECK(files_below(run.out) == expected);
}

TEST_CASE("crossval command: the tables of a run have their columns and one row a patient") {
  const WholeRun& run = whole_run();
  REQUIRE(run.result.code == 0);
  CHECK(header_of(run.out + "/folds.csv") == "patient,repeat,fold");
  CHECK(header_of(run.out + "/predictions.csv") == "patient,site,repeat,fold,label,score");
  CHECK(header_of(run.out + "/fold-1-2/predictions.csv") == "patient,site,repeat,fold,label,score");
  CHECK(header_of(run.out + "/fold-0-1/history.csv") ==
        "epoch,steps,lr,train_loss,inner_loss,inner_auc");
  CHECK(lines_of(read_file(run.out + "/fold-0-1/history.csv")).size() == 1 + 3);
  const auto rows = study::read_predictions(run.out + "/predictions.csv");
  REQUIRE(rows.size() == 2 * 24);
  const std::vector<std::string> folds = lines_of(read_file(run.out + "/folds.csv"));
  REQUIRE(folds.size() == 1 + 2 * 24);
  for (const study::ScoredPatient& row : rows) {
    const std::string place =
        row.id + "," + std::to_string(row.repeat) + "," + std::to_string(row.fold);
    CHECK(std::count(folds.begin(), folds.end(), place) == 1);
    CHECK(row.scores.at(0) >= 0);
    CHECK(row.scores.at(0) <= 1);
  }
  // 9 decimals, as written.
  const std::string line = lines_of(read_file(run.out + "/predictions.csv")).at(1);
  CHECK(line.size() - line.rfind('.') == 1 + 9);
}

TEST_CASE(
    "crossval command: metrics.json has its keys, and the table is on standard output alone") {
  const WholeRun& run = whole_run();
  REQUIRE(run.result.code == 0);
  const auto json = nlohmann::json::parse(read_file(run.out + "/metrics.json"));
  for (const char* key : {"auc", "ci_low", "ci_high", "ci_method", "n", "positives", "per_fold",
                          "seconds", "peak_bytes"}) {
    CHECK_MESSAGE(json.contains(key), key);
  }
  CHECK(json.at("n") == 24);
  CHECK(json.at("positives") == 12);
  CHECK(json.at("per_fold").size() == 6);
  CHECK(json.at("seconds") > 0);
  CHECK(json.at("peak_bytes") > 0);
  CHECK(json.at("ci_low") <= json.at("auc"));
  CHECK(json.at("auc") <= json.at("ci_high"));
  CHECK(contains(run.result.out, "target Subtype=2, 24 patients (12 positive)"));
  CHECK(contains(run.result.out, "AUC "));
  CHECK(contains(run.result.out, run.out));
  CHECK(contains(run.result.err, "crossval 100 %"));
  CHECK(!contains(run.result.out, "images/s"));
  CHECK(contains(run.result.err, "class 2 has 12 patients: exploratory"));
}

TEST_CASE("crossval command: asked again, a finished run trains nothing and adds no look") {
  const WholeRun& run = whole_run();
  REQUIRE(run.result.code == 0);
  const auto before = results_of(run.out);
  const std::string looks = read_file(run.folder / "looks.csv");
  CHECK(lines_of(looks).size() == 2);
  const CommandResult again = test::gliograd(crossval(
      run.data, run.out, {"--ledger", run.folder / "looks.csv", "--repeats", "2", "--json"}));
  CHECK(again.code == 0);
  CHECK(!contains(again.err, "images/s"));
  CHECK(difference(before, results_of(run.out)) == "");
  CHECK(read_file(run.folder / "looks.csv") == looks);
  CHECK(again.out == read_file(run.out + "/metrics.json"));  // --json: the file itself
  CHECK(nlohmann::json::parse(again.out).at("n") == 24);
}

TEST_CASE("crossval command: config.toml as --config makes the same run in another folder") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const std::vector<std::string> odd = {
      "--learning-rate", "0.01234567890123",
      "--preset",        "full",
      "--augment",       "rotation-degrees=7.25,blur-probability=0.5",
      "--fuse",          "shape,age",
      "--sequences",     "flair",
      "--ema",           "0.9",
      "--select",        "holdout"};
  const CommandResult first = test::gliograd(crossval(data, folder / "a", odd));
  INFO(first.err);
  REQUIRE(first.code == 0);
  const CommandResult second =
      test::gliograd({"crossval", "--config", folder / "a/config.toml", "--data", data, "--out",
                      folder / "b", "--device", "cpu"});
  INFO(second.err);
  REQUIRE(second.code == 0);
  CHECK(difference(results_of(folder / "a"), results_of(folder / "b")) == "");
  CHECK(settings_of(folder / "a") == settings_of(folder / "b"));
  // What auto chose is recorded, not auto.
  CHECK(contains(first.err, "device: cpu, f32\n"));
  CHECK(contains(settings_of(folder / "a"), "\ndtype = 'f32'\n"));
  // The command line wins over the file.
  const CommandResult third =
      test::gliograd({"crossval", "--config", folder / "a/config.toml", "--data", data, "--out",
                      folder / "c", "--seed", "6", "--device", "cpu"});
  REQUIRE(third.code == 0);
  CHECK(difference(results_of(folder / "a"), results_of(folder / "c")) != "");
}

TEST_CASE("crossval command: the same bytes for any number of threads and folds at once") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  std::map<std::string, std::string> expected;
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--threads", "1"},
                                              {"--threads", "2"},
                                              {"--threads", "3"},
                                              {"--threads", "1", "--concurrent-folds", "3"},
                                              {"--threads", "3", "--concurrent-folds", "2"}}) {
    std::vector<std::string> more = how;
    more.insert(more.end(), {"--preset", "full", "--permute", "2"});
    const std::string out = folder / (how[1] + "-" + std::to_string(how.size()) + how.back());
    const CommandResult result = test::gliograd(crossval(data, out, more));
    INFO(result.err);
    REQUIRE(result.code == 0);
    if (expected.empty()) expected = results_of(out);
    CHECK(difference(expected, results_of(out)) == "");
  }
  CHECK(expected.count("permutation.csv") == 1);
}

TEST_CASE("crossval command: permutations stand in their file, in metrics.json and in the table") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const CommandResult result = test::gliograd(crossval(data, folder / "run", {"--permute", "3"}));
  REQUIRE(result.code == 0);
  const std::vector<std::string> rows = lines_of(read_file(folder / "run/permutation.csv"));
  REQUIRE(rows.size() == 4);
  CHECK(rows[0] == "index,auc");
  for (int i = 1; i <= 3; ++i) CHECK(rows[i].rfind(std::to_string(i) + ",", 0) == 0);
  const auto json = nlohmann::json::parse(read_file(folder / "run/metrics.json"));
  CHECK(json.at("permutation").at("n") == 3);
  CHECK(json.at("permutation").at("p") >= 0.25);
  CHECK(contains(result.out, "3 permutations: mean AUC"));
  // More of them later are no other configuration.
  const CommandResult more = test::gliograd(crossval(data, folder / "run", {"--permute", "4"}));
  CHECK(more.code == 0);
  const std::vector<std::string> four = lines_of(read_file(folder / "run/permutation.csv"));
  REQUIRE(four.size() == 5);
  CHECK(std::equal(rows.begin(), rows.end(), four.begin()));
}

TEST_CASE("crossval command: inner folds leave their scores, of all training patients") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const CommandResult result =
      test::gliograd(crossval(data, folder / "run", {"--select", "inner"}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(study::read_predictions(folder / "run/inner.csv", study::OneRow::a_fold).size() == 3 * 16);
  CHECK(study::read_predictions(folder / "run/fold-0-1/inner.csv").size() == 16);
  const auto history = lines_of(read_file(folder / "run/fold-0-1/history.csv"));
  CHECK(history.back().back() != ',');  // inner_auc is filled
}

TEST_CASE("crossval command: a split by site pools pairs within sites, and says so") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const CommandResult result = test::gliograd(crossval(data, folder / "run", {"--split", "site"}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(contains(result.out, "site split"));
  CHECK(contains(result.out, "pairs within sites"));
  const auto json = nlohmann::json::parse(read_file(folder / "run/metrics.json"));
  CHECK(json.at("within_site_pairs") == true);
  CHECK(json.at("per_site").size() == 3);
  for (const study::ScoredPatient& row : study::read_predictions(folder / "run/predictions.csv")) {
    CHECK(row.fold == row.site[0] - 'A');
  }
}

TEST_CASE("crossval command: leave-one-patient-out says that its pooled AUC is biased") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort({.patients = 8}), folder / "set.h5");
  const CommandResult result =
      test::gliograd(crossval(data, folder / "run", {"--split", "patient", "--epochs", "1"}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(contains(result.out, "pooled leave-one-patient-out is biased"));
  const auto json = nlohmann::json::parse(read_file(folder / "run/metrics.json"));
  CHECK(json.at("biased") == true);
  CHECK(std::filesystem::exists(folder / "run/fold-0-7/model.h5"));
}

TEST_CASE("crossval command: k shrinks to the smallest class and patients without label stay out") {
  const TempDir folder;
  data::Dataset set = tiny_cohort();
  for (int p = 0; p < 24; ++p) set.labels[0].values[p] = p < 4 ? 1 : 0;
  set.labels[0].values[23] = -1;
  const std::string data = write_set(set, folder / "set.h5");
  const CommandResult result = test::gliograd(crossval(data, folder / "run", {"--folds", "10"}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(contains(result.err, "1 patients have no label"));
  CHECK(contains(result.err, "4 folds"));
  CHECK(std::filesystem::exists(folder / "run/fold-0-3"));
  CHECK(!std::filesystem::exists(folder / "run/fold-0-4"));
  CHECK(study::read_predictions(folder / "run/predictions.csv").size() == 23);
}

TEST_CASE("crossval command: all classes at once have a score and an AUC each") {
  const TempDir folder;
  data::Dataset set = tiny_cohort({.patients = 27});
  set.labels[0].classes = {"1", "2", "3"};
  for (int p = 0; p < 27; ++p) set.labels[0].values[p] = p % 3;
  const std::string data = write_set(set, folder / "set.h5");
  const CommandResult result =
      test::gliograd(crossval(data, folder / "run", {"--target", "Subtype"}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(header_of(folder / "run/predictions.csv") ==
        "patient,site,repeat,fold,label,score_0,score_1,score_2");
  const auto json = nlohmann::json::parse(read_file(folder / "run/metrics.json"));
  REQUIRE(json.at("classes").size() == 3);
  CHECK(json.at("classes")[2].at("class") == "3");
  CHECK(contains(result.out, "class 3"));
}
