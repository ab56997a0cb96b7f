// Against scikit-learn, scipy and published examples. The fixtures are made by
// tests/oracle/make_statistics_fixtures.py.
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/study/auc.hpp"
#include "apps/study/bootstrap.hpp"
#include "apps/study/logistic.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::study;
using nlohmann::json;

namespace {

const json& fixtures() {
  static const json all =
      json::parse(test::read_file(test::source_path("tests/oracle/fixtures/statistics.json")));
  return all;
}

Scores scores_of(const json& labels, const json& repeats) {
  Scores s;
  s.positive = labels.get<std::vector<uint8_t>>();
  s.repeats = repeats.get<std::vector<std::vector<double>>>();
  s.name = "fixture";
  return s;
}

double error_of_auc(const Scores& s) {
  const std::vector<int32_t> classes(s.positive.begin(), s.positive.end());
  return std::sqrt(*influence_variance(auc_influence(s).influence, classes));
}

// As a table prints it.
double rounded(double value, int decimals) {
  const double scale = std::pow(10.0, decimals);
  return std::round(value * scale) / scale;
}

}  // namespace

TEST_CASE("oracle: AUC, DeLong interval and paired p") {
  for (const json& fixture : fixtures()["auc"]) {
    INFO(fixture["name"].get<std::string>());
    std::vector<Scores> arms;
    for (const json& arm : fixture["arms"]) {
      arms.push_back(scores_of(fixture["labels"], arm["scores"]));
      CHECK(std::abs(auc(arms.back()) - arm["auc"].get<double>()) < 1e-12);
      CHECK(std::abs(error_of_auc(arms.back()) - arm["error"].get<double>()) < 1e-12);
      const Interval interval = *delong_interval(arms.back());
      CHECK(std::abs(interval.low - arm["low"].get<double>()) < 1e-12);
      CHECK(std::abs(interval.high - arm["high"].get<double>()) < 1e-12);
    }
    const PairedTest test = paired_delong(arms[0], arms[1]);
    CHECK(std::abs(test.difference - fixture["difference"].get<double>()) < 1e-12);
    CHECK(std::abs(*test.standard_error - fixture["difference_error"].get<double>()) < 1e-12);
    CHECK(std::abs(*test.p - fixture["p"].get<double>()) < 1e-11);
  }
}

TEST_CASE("oracle: ROC points") {
  const json& fixture = fixtures()["roc"];
  const Scores s = scores_of(fixture["labels"], json::array({fixture["scores"]}));
  const auto rates = fixture["rates"].get<std::vector<double>>();
  const auto curve = roc_band(s, {.draws = 5}, static_cast<int>(rates.size()) - 1);
  for (size_t g = 0; g < rates.size(); ++g) {
    INFO("point ", g);
    CHECK(std::abs(curve[g].true_positive_rate - rates[g]) < 1e-12);
  }
}

TEST_CASE("oracle: quantiles") {
  const json& fixture = fixtures()["quantile"];
  const auto values = fixture["values"].get<std::vector<double>>();
  for (const json& point : fixture["points"]) {
    CHECK(std::abs(quantile(values, point[0]) - point[1].get<double>()) < 1e-12);
  }
}

TEST_CASE("oracle: logistic regression, standardized") {
  for (const json& fixture : fixtures()["logistic"]) {
    INFO(fixture["name"].get<std::string>());
    const auto rows = fixture["rows"].get<std::vector<std::vector<double>>>();
    const auto labels = fixture["labels"].get<std::vector<int32_t>>();
    FeatureColumns columns(rows[0].size());
    std::vector<int32_t> everybody;
    for (size_t i = 0; i < rows.size(); ++i) {
      everybody.push_back(static_cast<int32_t>(i));
      for (size_t f = 0; f < columns.size(); ++f) columns[f].push_back(rows[i][f]);
    }
    const Standardizer standardizer(columns, everybody);
    std::vector<std::vector<double>> scaled;
    for (const int32_t i : everybody) scaled.push_back(standardizer.row(columns, i));
    const LogisticModel model =
        fit_logistic(scaled, labels, fixture["classes"],
                     {.penalty = fixture["penalty"], .balance_classes = fixture["balanced"]});
    const auto weights = fixture["weights"].get<std::vector<std::vector<double>>>();
    REQUIRE(model.weights.size() == weights.size());
    // Its own stopping rule leaves scikit-learn about 1e-7 from the minimum.
    for (size_t k = 0; k < weights.size(); ++k) {
      for (size_t f = 0; f < weights[k].size(); ++f) {
        CHECK(std::abs(model.weights[k][f] - weights[k][f]) < 1e-6);
      }
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::vector<double> p = model.probabilities(scaled[i]);
      for (size_t k = 0; k < p.size(); ++k) {
        CHECK(std::abs(p[k] - fixture["probabilities"][i][k].get<double>()) < 1e-6);
      }
    }
  }
}

// 109 CT images rated 1 (normal) to 5 (abnormal). Counts: Hanley & McNeil 1982, Radiology 143:29,
// table I. Area, DeLong's standard error and interval: Stata Base Reference Manual, entry roctab.
TEST_CASE("published: Hanley and McNeil's CT ratings") {
  const int normal[5] = {33, 6, 6, 11, 2}, abnormal[5] = {3, 2, 2, 11, 33};
  Scores s;
  s.repeats.emplace_back();
  for (int rating = 0; rating < 5; ++rating) {
    for (int i = 0; i < normal[rating] + abnormal[rating]; ++i) {
      s.positive.push_back(i >= normal[rating]);
      s.repeats[0].push_back(rating + 1);
    }
  }
  REQUIRE(s.positive.size() == 109);
  CHECK(rounded(auc(s), 4) == 0.8932);
  CHECK(rounded(error_of_auc(s), 4) == 0.0307);
  CHECK(rounded(delong_interval(s)->low, 5) == 0.83295);
  CHECK(rounded(delong_interval(s)->high, 5) == 0.95339);
}

// Ovarian cancer and bowel obstruction: the 43 patients with all three tests (albumin, total
// protein, Krebs-Goplerud score; success = 0) of the 49 of DeLong et al. 1988, Biometrics 44:837,
// as printed with areas, standard errors and contrasts in the SAS/STAT User's Guide, chapter on
// PROC LOGISTIC, example "Comparing Receiver Operating Characteristic Curves".
TEST_CASE("published: DeLong, DeLong and Clarke-Pearson's screening tests") {
  const double rows[43][4] = {
      {3.0, 5.8, 10, 0}, {3.2, 6.3, 5, 1}, {3.9, 6.8, 3, 1}, {2.8, 4.8, 6, 0}, {3.2, 5.8, 3, 1},
      {0.9, 4.0, 5, 0},  {2.5, 5.7, 8, 0}, {1.6, 5.6, 5, 1}, {3.8, 5.7, 5, 1}, {3.7, 6.7, 6, 1},
      {3.2, 5.4, 4, 1},  {3.8, 6.6, 6, 1}, {4.1, 6.6, 5, 1}, {3.6, 5.7, 5, 1}, {4.3, 7.0, 4, 1},
      {3.6, 6.7, 4, 0},  {2.3, 4.4, 6, 1}, {4.2, 7.6, 4, 0}, {4.0, 6.6, 6, 0}, {3.5, 5.8, 6, 1},
      {3.8, 6.8, 7, 1},  {3.0, 4.7, 8, 0}, {4.5, 7.4, 5, 1}, {3.7, 7.4, 5, 1}, {3.1, 6.6, 6, 1},
      {4.1, 8.2, 6, 1},  {4.3, 7.0, 5, 1}, {4.3, 6.5, 4, 1}, {3.2, 5.1, 5, 1}, {2.6, 4.7, 6, 1},
      {3.3, 6.8, 6, 0},  {1.7, 4.0, 7, 0}, {3.7, 6.1, 5, 1}, {3.3, 6.3, 7, 1}, {4.2, 7.7, 6, 1},
      {3.5, 6.2, 5, 1},  {2.9, 5.7, 9, 0}, {2.1, 4.8, 7, 1}, {2.8, 6.2, 8, 0}, {4.0, 7.0, 7, 1},
      {3.3, 5.7, 6, 1},  {3.7, 6.9, 5, 1}, {3.6, 6.6, 5, 1}};
  Scores albumin, protein, score;
  for (const auto& row : rows) {
    for (Scores* s : {&albumin, &protein, &score}) {
      s->positive.push_back(row[3] == 1);
      s->repeats.resize(1);
    }
    albumin.repeats[0].push_back(row[0]);
    protein.repeats[0].push_back(row[1]);
    score.repeats[0].push_back(10 - row[2]);
  }
  CHECK(rounded(auc(albumin), 4) == 0.7366);
  CHECK(rounded(auc(protein), 4) == 0.6478);
  CHECK(rounded(auc(score), 4) == 0.7258);
  CHECK(rounded(error_of_auc(albumin), 4) == 0.0927);
  CHECK(rounded(error_of_auc(protein), 4) == 0.1000);
  CHECK(rounded(error_of_auc(score), 4) == 0.1028);
  const PairedTest a = paired_delong(albumin, score), b = paired_delong(protein, score);
  CHECK(rounded(a.difference, 4) == 0.0108);
  CHECK(rounded(*a.standard_error, 4) == 0.0953);
  CHECK(rounded(*a.p, 4) == 0.9102);
  CHECK(rounded(b.difference, 4) == -0.0780);
  CHECK(rounded(*b.standard_error, 4) == 0.1046);
  CHECK(rounded(*b.p, 4) == 0.4561);
}
