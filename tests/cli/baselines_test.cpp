#include <nlohmann/json.hpp>

#include "apps/study/predictions.hpp"
#include "data/readers/prepared_set.hpp"
#include "tests/data/toy_set.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using nlohmann::json;
using test::contains;

namespace {

// 30 patients of three sites, a third of them of class 2, irregular tumors there.
std::string prepared(const test::TempDir& folder) {
  data::Dataset set = test::toy_set(std::vector<int>(30, 2));
  data::LabelColumn column{"COC", {"1", "2"}, {}};
  data::CovariateColumn ratio{"inverse_bevr", {}}, age{"age_at_diagnosis", {}};
  for (int p = 0; p < 30; ++p) {
    column.values.push_back(p / 3 % 3 == 0);
    ratio.values.push_back(column.values.back() + 0.01 * p);
    age.values.push_back(40 + p % 7);
  }
  set.labels = {column};
  set.shape = {ratio};
  set.covariates = {age};
  std::string path = folder / "set.h5";
  data::write_prepared(set, path, {});
  return path;
}

}  // namespace

TEST_CASE("baselines: the table, and predictions that stats reads again") {
  const test::TempDir folder;
  const std::string data = prepared(folder);
  const test::CommandResult result =
      test::gliograd({"baselines", "--data", data, "--target", "COC=2", "--folds", "5", "--out",
                      folder / "out", "--json"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  const json table = json::parse(result.out);
  CHECK(table["target"] == "COC=2");
  CHECK(table["arms"][0]["arm"] == "inverse_bevr (raw)");
  CHECK(table["arms"][0]["auc"] == 1.0);
  CHECK(table["arms"][0]["n"] == 30);
  const std::string file = folder / "out/logistic-inverse_bevr-age.csv";
  CHECK(study::read_predictions(file).size() == 30);
  const test::CommandResult stats =
      test::gliograd({"stats", "--json", file, folder / "out/site.csv"});
  REQUIRE_MESSAGE(stats.code == 0, stats.err);
  CHECK(json::parse(stats.out)[0]["arms"][1]["difference"]["auc"] < 0);
}

TEST_CASE("baselines: by site and by patient, and bad arguments") {
  const test::TempDir folder;
  const std::string data = prepared(folder);
  const auto run = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"baselines", "--data", data, "--target", "COC=2"};
    all.insert(all.end(), more.begin(), more.end());
    return test::gliograd(all);
  };
  CHECK(contains(run({"--split", "site"}).out, "pairs of patients within one site"));
  CHECK(contains(run({"--split", "patient"}).out, "pooled leave-one-patient-out is biased"));
  const test::CommandResult unknown = run({"--covariates", "height"});
  CHECK(unknown.code == 2);
  CHECK(contains(unknown.err, "no covariate column \"height\"; there are: age_at_diagnosis"));
  CHECK(run({"--folds", "1"}).code == 2);
  CHECK(test::gliograd({"baselines", "--data", folder / "no.h5", "--target", "COC=2"}).code == 2);
  test::write_file(folder / "file", "");
  CHECK(run({"--out", folder / "file"}).code != 0);
}

TEST_CASE("baselines: raw features of the real set") {
  const auto lgg = test::real_data("lgg", "baselines: raw features of the real set");
  if (!lgg) return;
  const test::TempDir folder;
  const std::string set = folder / "lgg.h5";
  const test::CommandResult prepared = test::gliograd({"prepare", "lgg", *lgg, "--out", set});
  REQUIRE_MESSAGE(prepared.code == 0, prepared.err);
  const auto auc = [&](const std::string& target, const std::string& arm, int n) {
    const test::CommandResult result =
        test::gliograd({"baselines", "--data", set, "--target", target, "--json", "--draws", "1"});
    REQUIRE_MESSAGE(result.code == 0, result.err);
    const json table = json::parse(result.out);
    for (const json& one : table["arms"]) {
      if (one["arm"] != arm) continue;
      CHECK(one["n"] == n);
      return one["auc"].get<double>();
    }
    FAIL("no arm ", arm);
    return 0.0;
  };
  CHECK(std::abs(auc("COCCluster=2", "inverse_bevr (raw)", 110) - 0.810) < 0.005);
  CHECK(std::abs(auc("COCCluster=2", "age (raw)", 109) - 0.719) < 0.005);
  CHECK(std::abs(auc("RNASeqCluster=2", "inverse_bevr (raw)", 92) - 0.786) < 0.005);
}
