#include "apps/study/baselines.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "apps/study/summary.hpp"
#include "tests/data/toy_set.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::study;
using test::contains;
using test::error_of;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const std::vector<data::SplitKind> kKinds = {data::SplitKind::stratified, data::SplitKind::site,
                                             data::SplitKind::patient};

// 36 patients of three sites, a third positive, `classes` classes; nothing known of them.
struct Cohort {
  data::Dataset set;
  Target target;
};
Cohort cohort(int classes = 2) {
  Cohort c;
  c.set = test::toy_set(std::vector<int>(36, 2));
  data::LabelColumn column{"COC", {}, {}};
  for (int k = 0; k < classes; ++k) column.classes.push_back(std::to_string(k + 1));
  for (int p = 0; p < 36; ++p) {
    column.values.push_back(classes == 2 ? p / 3 % 3 == 0 : p / 3 % classes);
  }
  c.set.labels = {column};
  c.target = make_target(c.set, classes == 2 ? "COC=2" : "COC");
  return c;
}

data::Split split_of(const Cohort& c, data::SplitKind kind, int folds = 4, int repeats = 1) {
  return data::make_split(c.set, c.target.labels,
                          {.kind = kind, .folds = folds, .repeats = repeats});
}

const Baseline& named(const std::vector<Baseline>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Baseline& b) { return b.name == name; });
  REQUIRE_MESSAGE(found != all.end(), "no baseline ", name);
  return *found;
}

double auc_of(const Baseline& baseline, data::SplitKind kind = data::SplitKind::stratified) {
  SummaryOptions options;
  options.split = kind;
  options.bootstrap.draws = 10;
  return summarize(baseline.rows, baseline.name, options).auc;
}

void add_random_columns(data::Dataset& set, std::mt19937_64& random) {
  std::normal_distribution<double> normal;
  for (const char* name : {"inverse_bevr", "angular_std", "margin_fluctuation", "area", "extent"}) {
    set.shape.push_back({name, {}});
    for (size_t p = 0; p < set.patients.size(); ++p) {
      set.shape.back().values.push_back(normal(random));
    }
  }
  set.covariates.push_back({"age", {}});
  for (size_t p = 0; p < set.patients.size(); ++p) {
    set.covariates.back().values.push_back(p % 5 == 0 ? kNaN : 50 + 10 * normal(random));
  }
}

}  // namespace

TEST_CASE("baselines: those that say the same for everybody score 0.50 in every kind of split") {
  for (const int classes : {2, 3}) {
    Cohort c = cohort(classes);
    c.set.shape = {{"inverse_bevr", std::vector<double>(36, 1.7)},
                   {"extent", std::vector<double>(36, 0.6)}};
    c.set.covariates = {{"age", std::vector<double>(36, 0.1 + 0.2)}};
    for (const data::SplitKind kind : kKinds) {
      const auto all = baselines(c.set, c.target, split_of(c, kind), {.covariates = {"age"}});
      CHECK(all.size() >= 3);
      for (const Baseline& baseline : all) {
        INFO(baseline.name, " in split ", data::name_of(kind));
        if (baseline.kind == BaselineKind::shortcut) continue;  // sites differ here
        CHECK(auc_of(baseline, kind) == 0.5);
      }
    }
  }
}

TEST_CASE("baselines: site alone knows nothing of a site it has not seen") {
  const Cohort c = cohort();
  const auto all = baselines(c.set, c.target, split_of(c, data::SplitKind::site));
  for (const ScoredPatient& row : named(all, "site").rows) CHECK(row.scores[0] == 0.5);
  CHECK(auc_of(named(all, "site"), data::SplitKind::site) == 0.5);
}

TEST_CASE("baselines: site alone by hand") {
  // Training: site A has 2 of 3 positives and 1 of 4 negatives; half a patient added to each.
  Cohort c = cohort();
  std::fill(c.target.labels.begin(), c.target.labels.end(), -1);
  const auto put = [&](int p, const char* site, int label) {
    c.set.patients[p].site = site;
    c.target.labels[p] = label;
  };
  put(0, "A", 1), put(1, "A", 1), put(2, "B", 1), put(3, "A", 0), put(4, "B", 0);
  put(5, "B", 0), put(6, "B", 0), put(7, "A", 1), put(8, "B", 0), put(9, "C", 1);
  data::Split split;
  split.folds = 2;
  split.repeats = 1;
  split.fold_names = {"0", "1"};
  split.fold_of = {std::vector<int32_t>(36, -1)};
  for (int p = 0; p < 10; ++p) split.fold_of[0][p] = p >= 7 ? 0 : 1;
  // Fold 0 tests 7, 8, 9; fold 1 needs both classes in training too, which 7, 8, 9 are.
  const Baseline site = named(baselines(c.set, c.target, split), "site");
  const double a1 = 2.5 / 4, a0 = 1.5 / 5, b1 = 1.5 / 4, b0 = 3.5 / 5;
  REQUIRE(site.rows.size() == 10);
  CHECK(site.rows[0].id == "P007");
  CHECK(site.rows[0].scores[0] == doctest::Approx(a1 / (a1 + a0)).epsilon(1e-12));
  CHECK(site.rows[1].scores[0] == doctest::Approx(b1 / (b1 + b0)).epsilon(1e-12));
  CHECK(site.rows[2].scores[0] == 0.5);
}

TEST_CASE("baselines: a planted signal is found, with the sign fixed beforehand") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  Cohort c = cohort();
  add_random_columns(c.set, random);
  for (int p = 0; p < 36; ++p) {
    c.set.shape[0].values[p] += 20 * c.target.labels[p];  // irregular when positive
    c.set.shape[4].values[p] -= 20 * c.target.labels[p];  // compact when negative
  }
  const auto all = baselines(c.set, c.target, split_of(c, data::SplitKind::stratified, 4, 2),
                             {.covariates = {"age"}});
  CHECK(auc_of(named(all, "inverse_bevr")) == 1);
  CHECK(auc_of(named(all, "extent")) == 1);
  CHECK(auc_of(named(all, "logistic: shape")) == 1);
  CHECK(auc_of(named(all, "logistic: shape + age")) == 1);
  CHECK(auc_of(named(all, "logistic: inverse_bevr + age")) == 1);
  CHECK(named(all, "logistic: age").rows.size() == 72);  // imputed
  CHECK(named(all, "age").rows.size() == 2 * 28);        // raw: those who have one
  // A sign the other way round is not mended.
  for (double& v : c.set.shape[0].values) v = -v;
  const auto turned = baselines(c.set, c.target, split_of(c, data::SplitKind::stratified), {});
  CHECK(auc_of(named(turned, "inverse_bevr")) == 0);
  CHECK(auc_of(named(turned, "logistic: shape")) == 1);
}

TEST_CASE("baselines: nothing of a test patient enters his own score but his features") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  Cohort c = cohort();
  add_random_columns(c.set, random);
  const data::Split split = split_of(c, data::SplitKind::stratified);
  const auto before = baselines(c.set, c.target, split, {.covariates = {"age"}});
  // Turn labels, and features of the other test patients of fold 2: patients of that fold keep
  // their scores where their own features stay.
  const std::vector<int32_t> test = data::test_patients(split, 0, 2);
  for (size_t i = 0; i < test.size(); ++i) {
    c.target.labels[test[i]] = 1 - c.target.labels[test[i]];
    if (i == 0) continue;
    for (auto& column : c.set.shape) column.values[test[i]] *= 1000;
    c.set.covariates[0].values[test[i]] = kNaN;
    c.set.patients[test[i]].site = "elsewhere";
  }
  const auto after = baselines(c.set, c.target, split, {.covariates = {"age"}});
  REQUIRE(after.size() == before.size());
  int compared = 0;
  for (size_t b = 0; b < before.size(); ++b) {
    const std::string& id = c.set.patients[test[0]].id;
    const auto score = [&](const Baseline& baseline) {
      for (const ScoredPatient& row : baseline.rows) {
        if (row.id == id) return row.scores;
      }
      return std::vector<double>();
    };
    INFO(before[b].name);
    CHECK(score(before[b]) == score(after[b]));
    compared += !score(before[b]).empty();
  }
  CHECK(compared >= 6);
}

TEST_CASE("baselines: shortcuts appear where patients differ in them") {
  Cohort c = cohort();
  const auto names = [&] {
    std::string text;
    for (const Baseline& b : baselines(c.set, c.target, split_of(c, data::SplitKind::stratified))) {
      text += b.name + ";";
    }
    return text;
  };
  CHECK(names() == "site;");
  for (auto& patient : c.set.patients) patient.site.clear();
  CHECK(names().empty());
  for (int p = 0; p < 36; p += 2) c.set.patients[p].present[0] = 0;
  CHECK(names() == "sequences;");
  c.set.patients[7].affine[0] = {.a = 2, .b = -60};
  CHECK(intensity_columns(c.set)[0][7] == 30);
  CHECK(intensity_columns(c.set)[1][7] == 0.5);
  std::fill(c.set.images.begin(), c.set.images.begin() + 8, 9);  // slices of patient 0
  c.set.images[0] = 0;
  c.set.images[1] = 4;
  CHECK(background_columns(c.set)[0][0] == 4);  // 1 of 7 values is more than 5 %
  CHECK(std::isnan(background_columns(c.set)[0][1]));
  CHECK(names() == "sequences;intensity scale;all shortcuts;");
  c = cohort();
  c.set = test::toy_set(std::vector<int>(35, 2));
  CHECK(contains(error_of([&] {
                   baselines(c.set, c.target, split_of(cohort(), data::SplitKind::stratified));
                 }),
                 "36 labels for 35 patients"));
  c = cohort();
  CHECK(contains(error_of([&] {
                   baselines(c.set, c.target, split_of(c, data::SplitKind::stratified),
                             {.covariates = {"height"}});
                 }),
                 "no covariate column \"height\""));
}

TEST_CASE("baselines: a covariate is found by its name or the beginning of it") {
  Cohort c = cohort();
  CHECK(age_columns(c.set).empty());
  c.set.covariates = {{"age_at_initial_pathologic", std::vector<double>(36, 1)},
                      {"agent", std::vector<double>(36, 2)}};
  CHECK(covariate_named(c.set, "age").name == "age_at_initial_pathologic");
  CHECK(age_columns(c.set) == std::vector<std::string>{"age"});
  c.set.covariates.push_back({"age_at_death", std::vector<double>(36, 3)});
  CHECK(contains(error_of([&] { covariate_named(c.set, "age"); }), "age_at_death"));
  c.set.covariates.push_back({"age", std::vector<double>(36, 4)});
  CHECK(covariate_named(c.set, "age").name == "age");
}

TEST_CASE("baselines: several classes have one score each, and no raw rows") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  Cohort c = cohort(4);
  add_random_columns(c.set, random);
  const auto all = baselines(c.set, c.target, split_of(c, data::SplitKind::stratified, 3),
                             {.covariates = {"age"}});
  CHECK(all.size() == 6);  // shape, size, age, with age, site; other shortcuts are constant
  for (const Baseline& baseline : all) {
    CHECK(baseline.kind != BaselineKind::raw);
    for (const ScoredPatient& row : baseline.rows) {
      REQUIRE(row.scores.size() == 4);
      CHECK(row.scores[0] + row.scores[1] + row.scores[2] + row.scores[3] ==
            doctest::Approx(1).epsilon(1e-12));
    }
  }
}
