#include "apps/study/summary.hpp"

#include <cmath>
#include <random>

#include "tests/study/toy_scores.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::study;
using test::contains;
using test::error_of;

namespace {

std::vector<ScoredPatient> random_rows(std::mt19937_64& random, int n, int repeats, int columns) {
  std::uniform_real_distribution<double> uniform(0, 1);
  std::vector<ScoredPatient> rows;
  for (int r = 0; r < repeats; ++r) {
    for (int i = 0; i < n; ++i) {
      const int label = columns == 1 ? i % 2 : i % columns;
      rows.push_back(
          {"p" + std::to_string(1000 + i), (i / 7) % 2 ? "S" : "T", r, (i + r) % 5, label, {}});
      for (int c = 0; c < columns; ++c) {
        rows.back().scores.push_back(uniform(random) +
                                     (label == c || columns == 1 ? 0.3 * label : 0));
      }
    }
  }
  return rows;
}

std::vector<ScoredPatient> with_copies(const std::vector<ScoredPatient>& rows, int copies) {
  std::vector<ScoredPatient> all = rows;
  for (int copy = 1; copy < copies; ++copy) {
    for (ScoredPatient row : rows) {
      row.repeat += 100 * copy;
      all.push_back(row);
    }
  }
  return all;
}

}  // namespace

TEST_CASE("summary: duplicated repeats leave every interval as it was, in every kind of split") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  for (const int columns : {1, 3}) {
    const std::vector<ScoredPatient> rows = random_rows(random, 60, 2, columns);
    for (const auto kind :
         {data::SplitKind::stratified, data::SplitKind::site, data::SplitKind::patient}) {
      SummaryOptions options;
      options.split = kind;
      const Metrics once = summarize(rows, "once", options);
      const Metrics thrice = summarize(with_copies(rows, 3), "thrice", options);
      CHECK(thrice.auc == doctest::Approx(once.auc).epsilon(1e-12));
      CHECK(thrice.ci->low == doctest::Approx(once.ci->low).epsilon(1e-11));
      CHECK(thrice.ci->high == doctest::Approx(once.ci->high).epsilon(1e-11));
      CHECK(thrice.bootstrap.low == doctest::Approx(once.bootstrap.low).epsilon(1e-12));
      CHECK(thrice.bootstrap.high == doctest::Approx(once.bootstrap.high).epsilon(1e-12));
      CHECK(thrice.n == 60);
      CHECK(thrice.repeats.count == 6);
      CHECK(thrice.classes.size() == (columns == 1 ? 0u : 3u));
      for (size_t c = 0; c < once.classes.size(); ++c) {
        CHECK(thrice.classes[c].ci->low == doctest::Approx(once.classes[c].ci->low).epsilon(1e-11));
        CHECK(thrice.classes[c].bootstrap.high == once.classes[c].bootstrap.high);
      }
    }
  }
}

TEST_CASE("summary: a model that says the same for everybody scores 0.50, interval and all") {
  std::vector<ScoredPatient> rows;
  for (int i = 0; i < 40; ++i) {
    const double last_bits = 1e-11 * (i % 7);
    rows.push_back(
        {std::to_string(100 + i), i % 2 ? "A" : "B", 0, i % 10, i % 4 == 0, {0.5 + last_bits}});
  }
  for (const auto kind :
       {data::SplitKind::stratified, data::SplitKind::site, data::SplitKind::patient}) {
    if (kind == data::SplitKind::site) {  // both classes in each site
      for (size_t i = 0; i < rows.size(); ++i) rows[i].site = i < 20 ? "A" : "B";
    }
    SummaryOptions options;
    options.split = kind;
    const Metrics m = summarize(rows, "constant", options);
    CHECK(m.auc == 0.5);
    CHECK(m.bootstrap.low == 0.5);
    CHECK(m.bootstrap.high == 0.5);
    CHECK(m.within_site == (kind == data::SplitKind::site));
    CHECK(m.biased == (kind == data::SplitKind::patient));
  }
}

TEST_CASE("summary: folds, sites and marks") {
  std::vector<ScoredPatient> rows;
  for (int i = 0; i < 12; ++i) {  // site A: 3 of each class; site B: 2 of 6 are positive
    const bool b = i >= 6;
    rows.push_back({std::to_string(100 + i), b ? "B" : "A", 0, b, b ? i < 8 : i < 3, {0.1 * i}});
  }
  const Metrics m = summarize(rows, "x");
  REQUIRE(m.per_fold.size() == 2);
  CHECK(m.per_fold[0].n == 6);
  CHECK(*m.per_fold[0].auc == 0.0);
  REQUIRE(m.per_site.size() == 2);
  CHECK(m.per_site[0].site == "A");
  CHECK(*m.per_site[0].auc == 0.0);
  CHECK(m.per_site[1].positives == 2);
  CHECK_FALSE(m.per_site[1].auc.has_value());
  CHECK(m.positives == 5);
  CHECK(m.exploratory);
  for (ScoredPatient& row : rows) row.site.clear();
  CHECK(summarize(rows, "x").per_site.empty());
}

TEST_CASE("summary: tiny cohorts have an AUC, and no interval where a class has one patient") {
  const std::vector<ScoredPatient> rows = {{"a", "", 0, 0, 1, {0.7}}, {"b", "", 0, 1, 0, {0.2}}};
  const Metrics m = summarize(rows, "two");
  CHECK(m.auc == 1);
  CHECK_FALSE(m.ci.has_value());
  CHECK(m.bootstrap.low == 1);
  CHECK(contains(error_of([&] { summarize({rows[0]}, "one.csv"); }),
                 "one.csv: an AUC needs patients of both classes"));
}

TEST_CASE("summary: several seeds are repeats of one arm") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  const auto a = random_rows(random, 30, 2, 1), b = random_rows(random, 30, 1, 1);
  const Metrics both = summarize(merge_runs({a, b}, {"a", "b"}), "both");
  const Metrics one = summarize(a, "a"), other = summarize(b, "b");
  CHECK(both.auc == doctest::Approx((2 * one.auc + other.auc) / 3).epsilon(1e-12));
  CHECK(both.repeats.count == 3);
  CHECK(both.n == 30);
  auto wrong = b;
  wrong[3].label = 1 - wrong[3].label;
  CHECK(contains(error_of([&] {
                   merge_runs({a, wrong}, {"a", "b"});
                 }),
                 "b is no other seed of a: patient p1003 has another label"));
  wrong = b;
  wrong.pop_back();
  CHECK(contains(error_of([&] { merge_runs({a, wrong}, {"a", "b"}); }), "p1029 is missing"));
  CHECK(contains(error_of([&] {
                   merge_runs({a, random_rows(random, 30, 1, 3)}, {"a", "b"});
                 }),
                 "number of score columns"));
}

TEST_CASE("significance: Holm by hand") {
  // Sorted 0.01, 0.03, 0.04 of three: 3 * 0.01, 2 * 0.03, max(0.06, 0.04).
  const auto p = holm({0.04, 0.01, 0.03});
  CHECK(*p[0] == doctest::Approx(0.06));
  CHECK(*p[1] == doctest::Approx(0.03));
  CHECK(*p[2] == doctest::Approx(0.06));
  const auto absent = holm({std::nullopt, 0.4, 0.9});  // the absent one counts in the number
  CHECK_FALSE(absent[0].has_value());
  CHECK(*absent[1] == 1);
  CHECK(*absent[2] == 1);
  CHECK(holm({}).empty());
  CHECK(contains(error_of([] { holm({std::nan("")}); }), "[0, 1]"));
}

TEST_CASE("significance: permutation p never is 0") {
  CHECK(permutation_p(0.9, std::vector<double>(19, 0.5)) == 0.05);
  CHECK(permutation_p(0.5, std::vector<double>(19, 0.5)) == 1);
  CHECK(permutation_p(0.7, {0.8, 0.7, 0.6}) == 0.75);
  CHECK(contains(error_of([] { permutation_p(0.7, {}); }), "at least one permutation"));
  CHECK(contains(error_of([] { permutation_p(0.7, {std::nan("")}); }), "not finite"));
}

TEST_CASE("significance: spread by hand") {
  const Spread s = spread_of({0.5, 0.7, 0.6});
  CHECK(s.count == 3);
  CHECK(s.mean == doctest::Approx(0.6));
  CHECK(*s.deviation == doctest::Approx(0.1));
  CHECK(s.low == 0.5);
  CHECK(s.high == 0.7);
  CHECK_FALSE(spread_of({0.5}).deviation.has_value());
  CHECK(contains(error_of([] { spread_of({0.5, std::nan("")}); }), "not finite"));
}
