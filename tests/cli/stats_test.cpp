#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "apps/study/predictions.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::study;
using nlohmann::json;
using test::contains;

namespace {

std::vector<ScoredPatient> scores(unsigned seed, int n, double signal) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<ScoredPatient> rows;
  for (int i = 0; i < n; ++i) {
    rows.push_back({"p" + std::to_string(100 + i),
                    i / 10 % 2 ? "A" : "B",
                    0,
                    i % 5,
                    i % 2,
                    {signal * (i % 2) + normal(random)}});
  }
  return rows;
}

void write_run(const std::string& folder, const std::vector<ScoredPatient>& rows,
               const std::string& config) {
  std::filesystem::create_directories(folder);
  write_predictions(folder + "/predictions.csv", rows);
  if (!config.empty()) test::write_file(folder + "/config.toml", config);
}

json arms(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {"stats", "--json"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const test::CommandResult result = test::gliograd(all);
  REQUIRE_MESSAGE(result.code == 0, result.err);
  return json::parse(result.out);
}

// One line on standard error, exit code 2, nothing on standard output.
std::string refused(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {"stats"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const test::CommandResult result = test::gliograd(all);
  CHECK(result.code == 2);
  CHECK(result.out.empty());
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  return result.err;
}

}  // namespace

TEST_CASE("stats: seeds of an arm are grouped, arms are tested against one of them") {
  const test::TempDir folder;
  const std::string config = "target = \"COC=2\"\nsplit = \"stratified\"\n";
  write_run(folder / "ours-1", scores(1, 40, 1), config);
  write_run(folder / "ours-seed2", scores(2, 40, 1), config);
  write_run(folder / "other-1", scores(3, 40, 0.2), config);
  const json all = arms({folder.path().string(), "--against", "other"});
  REQUIRE(all.size() == 1);
  CHECK(all[0]["target"] == "COC=2");
  CHECK(all[0]["reference"] == "other");
  CHECK(all[0]["common_patients"] == 40);
  REQUIRE(all[0]["arms"].size() == 2);
  const json &other = all[0]["arms"][0], &ours = all[0]["arms"][1];
  CHECK(ours["arm"] == "ours");
  CHECK(ours["runs"] == 2);
  CHECK(ours["seeds"]["count"] == 2);
  CHECK(ours["difference"]["auc"].get<double>() ==
        doctest::Approx(ours["auc"].get<double>() - other["auc"].get<double>()));
  CHECK(ours["difference"]["p"] == ours["difference"]["p_holm"]);  // one test: nothing to correct
  CHECK_FALSE(other.contains("difference"));
  const json each = arms({folder.path().string(), "--each"});
  CHECK(each[0]["arms"].size() == 3);

  const test::CommandResult text = test::gliograd({"stats", folder.path().string()});
  CHECK(text.code == 0);
  CHECK(contains(text.out, "target COC=2\n"));
  CHECK(contains(text.out, "given these models"));
  CHECK(contains(text.out, "sd over seeds"));
}

TEST_CASE("stats: a CSV of anybody's, with another separator, names for labels and missing ones") {
  const test::TempDir folder;
  const std::string path = folder / "scores.csv";
  test::write_file(path,
                   "\xEF\xBB\xBFpatient;label;score;age\r\na;wt;0,9;1\r\nb;mut;0,4;2\r\n"
                   "c;wt;0,4;3\r\n\"d;e\";mut;0,1;4\r\nf;;0,5;5\r\n");
  const json all = arms({path});
  CHECK(all[0]["arms"][0]["auc"].get<double>() == 3.5 / 4);
  CHECK(all[0]["arms"][0]["n"] == 4);
  CHECK(arms({path, "--positive", "mut"})[0]["arms"][0]["auc"].get<double>() == 0.5 / 4);
  const test::CommandResult text = test::gliograd({"stats", path});
  CHECK(contains(text.err, "a high score is taken to mean \"wt\""));
  CHECK(contains(text.err, "1 rows without a label left out"));
}

TEST_CASE("stats: several classes, sites and repeats in a CSV") {
  const test::TempDir folder;
  const std::string path = folder / "many.csv";
  std::string text = "patient,site,repeat,fold,label,score_0,score_1,score_2\n";
  for (int i = 0; i < 36; ++i) {
    const int label = i % 3;
    text += "p" + std::to_string(100 + i) + (i < 18 ? ",A" : ",B") + ",0,0," +
            std::to_string(label) + (label == 0 ? ",0.8,0.1,0.1\n" : ",0.2,0.4,0.4\n");
  }
  test::write_file(path, text);
  const json arm = arms({path})[0]["arms"][0];
  CHECK(arm["classes"].size() == 3);
  CHECK(arm["classes"][0]["auc"] == 1.0);
  CHECK(arm["auc"].get<double>() == doctest::Approx((1 + 0.75 + 0.75) / 3));
  CHECK(arms({path, "--split", "site"})[0]["arms"][0]["within_site"] == true);
}

TEST_CASE("stats: targets are kept apart, and what a run says of itself is said again") {
  const test::TempDir folder;
  write_run(folder / "a-1", scores(1, 40, 1),
            "target = \"COC=2\"\ninit = \"gbm.h5\"\nassume-disjoint = true\n");
  write_run(folder / "b-1", scores(2, 40, 1), "target = \"RNA=1\"\n");
  std::string permutations = "index,auc\n";
  for (int i = 1; i <= 19; ++i) permutations += std::to_string(i) + ",0.1\n";
  test::write_file(folder / "b-1/permutation.csv", permutations);
  CHECK(arms({folder.path().string()}).size() == 2);
  const test::CommandResult text = test::gliograd({"stats", folder.path().string()});
  CHECK(contains(text.out, "target COC=2\n"));
  CHECK(contains(text.out, "target RNA=1\n"));
  CHECK(contains(text.out, "assumed, not checked"));
  CHECK(contains(text.out, "19 permutations: mean AUC 0.100, p = 0.05"));
}

TEST_CASE("stats: bad input is refused in one line") {
  const test::TempDir folder;
  const auto file = [&](const std::string& text) {
    test::write_file(folder / "x.csv", text);
    return folder / "x.csv";
  };
  const std::string good = "patient,label,score\na,1,0.5\nb,0,0.4\n";
  CHECK(contains(refused({folder / "nothing"}), "nothing: No such file or directory"));
  CHECK(contains(refused({folder.path().string()}), "no finished run folder"));
  CHECK(contains(refused({file("")}), "x.csv"));
  CHECK(contains(refused({file("patient,label\na,1\n")}), "no column \"score\""));
  CHECK(contains(refused({file(good + "c,1,nan\n")}), "line 4: patient c has the score \"nan\""));
  CHECK(contains(refused({file(good + "c,1,\n")}), "patient c"));
  CHECK(contains(refused({file(good + "c,1,inf\n")}), "patient c"));
  CHECK(contains(refused({file(good + "a,1,0.5\n")}), "patient a stands twice"));
  CHECK(contains(refused({file(good + "c,2,0.5\n")}), "name one with --positive"));
  CHECK(contains(refused({file("patient,label,score\na,1,0.5\nb,1,0.4\n")}),
                 "x.csv, class 1: an AUC needs patients of both classes"));
  CHECK(contains(refused({file("patient,label,score_0,score_2\na,0,1,0\nb,1,0,1\n")}),
                 "x.csv: has 2 columns score_"));
  CHECK(contains(refused({file("patient,label,score_0\na,0,1\nb,1,0\n")}), "x.csv: has 1 column"));
  CHECK(contains(refused({file(good), "--split", "site"}), "x.csv: names no sites"));
  CHECK(contains(refused({file(good), "--positive", "7"}), "no label is \"7\""));
  CHECK(contains(refused({file(good), "--against", "me"}), "no such arm; there are: x"));
  CHECK(contains(refused({file(good), file(good)}), "is given twice"));
  CHECK(contains(refused({file(good), "--split", "random"}), "random"));
  write_run(folder / "run", scores(1, 20, 1), "target = \n");
  CHECK(contains(refused({folder / "run"}), "config.toml: line 1"));
  write_run(folder / "run", scores(1, 20, 1), "target = \"t\"\n");
  test::write_file(folder / "run/permutation.csv", "index,auc\n1,2\n");
  CHECK(contains(refused({folder / "run"}), "permutation.csv: line 2"));
  CHECK(test::gliograd({"stats", file(good), "--draws", "0"}).code == 2);
  CHECK(test::gliograd({"stats"}).code == 2);
}
