#include "apps/study/auc.hpp"

#include <cmath>
#include <random>

#include "tests/study/toy_scores.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::study;
using test::contains;
using test::error_of;
using test::random_scores;

namespace {

Scores plain(std::vector<uint8_t> positive, std::vector<double> score) {
  Scores s;
  s.positive = std::move(positive);
  s.repeats = {std::move(score)};
  s.name = "test";
  return s;
}

// The definition: pairs counted one by one.
double auc_by_pairs(const Scores& s) {
  double won = 0, pairs = 0;
  for (const auto& score : s.repeats) {
    for (size_t i = 0; i < score.size(); ++i) {
      for (size_t j = 0; j < score.size(); ++j) {
        if (!s.positive[i] || s.positive[j]) continue;
        if (!s.stratum.empty() && s.stratum[i] != s.stratum[j]) continue;
        pairs += 1;
        won += score[i] > score[j] ? 1 : score[i] == score[j] ? 0.5 : 0;
      }
    }
  }
  return won / pairs;
}

// DeLong et al. 1988 as printed: V10, V01, their (co)variances, S10/m + S01/n.
double delong_covariance(const Scores& a, const Scores& b) {
  const auto placements = [](const Scores& s, bool of_positive) {
    std::vector<double> v;
    for (size_t i = 0; i < s.positive.size(); ++i) {
      if (s.positive[i] != of_positive) continue;
      double sum = 0, count = 0;
      for (const auto& x : s.repeats) {
        for (size_t j = 0; j < x.size(); ++j) {
          if (s.positive[j] == s.positive[i]) continue;
          const double d = of_positive ? x[i] - x[j] : x[j] - x[i];
          sum += d > 0 ? 1 : d == 0 ? 0.5 : 0;
          count += 1;
        }
      }
      v.push_back(sum / count);
    }
    return v;
  };
  double total = 0;
  for (const bool of_positive : {true, false}) {
    const std::vector<double> u = placements(a, of_positive), v = placements(b, of_positive);
    const auto n = static_cast<double>(u.size());
    double mu = 0, mv = 0, s = 0;
    for (size_t i = 0; i < u.size(); ++i) mu += u[i] / n, mv += v[i] / n;
    for (size_t i = 0; i < u.size(); ++i) s += (u[i] - mu) * (v[i] - mv);
    total += s / (n - 1) / n;
  }
  return total;
}

double variance_of(const Scores& s) {
  return *influence_variance(auc_influence(s).influence,
                             std::vector<int32_t>(s.positive.begin(), s.positive.end()));
}

}  // namespace

TEST_CASE("auc: by hand, with a tie") {  // pairs of (1,3) over (0,1,2): 1, 1/2, 0 and 1, 1, 1
  CHECK(auc(plain({1, 1, 0, 0, 0}, {1, 3, 0, 1, 2})) == doctest::Approx(4.5 / 6).epsilon(1e-15));
  CHECK(auc(plain({1, 0}, {2, 1})) == 1.0);
  CHECK(auc(plain({1, 0}, {1, 2})) == 0.0);
  CHECK(auc(plain({1, 0, 0}, {1, 1, 1})) == 0.5);
}

TEST_CASE("auc: equals the count of pairs, with ties, repeats and strata") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  for (int trial = 0; trial < 60; ++trial) {
    const Scores s = random_scores(random, 5 + trial, 1 + trial % 3, trial % 4);
    const Influence it = auc_influence(s);
    CHECK(it.auc == doctest::Approx(auc_by_pairs(s)).epsilon(1e-12));
    double sum[2] = {0, 0}, mean = 0;
    for (size_t i = 0; i < it.influence.size(); ++i) sum[s.positive[i]] += it.influence[i];
    CHECK(std::abs(sum[0]) < 1e-12);
    CHECK(std::abs(sum[1]) < 1e-12);
    for (const double a : it.repeat_auc) mean += a / static_cast<double>(it.repeat_auc.size());
    CHECK(it.auc == doctest::Approx(mean).epsilon(1e-12));
  }
}

TEST_CASE("auc: the variance equals DeLong's formula, repeats averaged by patient") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  for (int trial = 0; trial < 30; ++trial) {
    Scores a = random_scores(random, 6 + trial, 1 + trial % 3, 0);
    Scores b = random_scores(random, 6 + trial, 1 + trial % 2, 0);
    b.positive = a.positive;
    const double va = delong_covariance(a, a), vb = delong_covariance(b, b);
    CHECK(variance_of(a) == doctest::Approx(va).epsilon(1e-10));
    const PairedTest test = paired_delong(a, b);
    const double difference = auc_by_pairs(a) - auc_by_pairs(b);
    const double variance = va + vb - 2 * delong_covariance(a, b);
    CHECK(test.difference == doctest::Approx(difference).epsilon(1e-10));
    if (variance < 1e-9 || std::abs(difference) < 1e-9) continue;
    const double z = difference / std::sqrt(variance);
    CHECK(*test.p == doctest::Approx(std::erfc(std::abs(z) / std::sqrt(2.0))).epsilon(1e-9));
  }
}

TEST_CASE("auc: turned scores and turned labels are symmetric") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  const Scores s = random_scores(random, 40, 2, 3);
  Scores turned = s;
  for (auto& repeat : turned.repeats) {
    for (double& x : repeat) x = -x;
  }
  CHECK(auc(turned) == doctest::Approx(1 - auc(s)).epsilon(1e-12));
  for (uint8_t& p : turned.positive) p = !p;
  CHECK(auc(turned) == doctest::Approx(auc(s)).epsilon(1e-12));
  CHECK(variance_of(turned) == doctest::Approx(variance_of(s)).epsilon(1e-10));
}

TEST_CASE("auc: repeats that say the same leave AUC, interval and test as they were") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  Scores a = random_scores(random, 60, 1, 0), b = random_scores(random, 60, 1, 0);
  b.positive = a.positive;
  const Interval before = *delong_interval(a);
  const PairedTest test = paired_delong(a, b);
  for (int copy = 0; copy < 9; ++copy) {
    a.repeats.push_back(a.repeats.front());
    b.repeats.push_back(b.repeats.front());
  }
  const Interval after = *delong_interval(a);
  CHECK(after.low == doctest::Approx(before.low).epsilon(1e-12));
  CHECK(after.high == doctest::Approx(before.high).epsilon(1e-12));
  CHECK(*paired_delong(a, b).p == doctest::Approx(*test.p).epsilon(1e-10));
}

TEST_CASE("auc: only pairs of one site count within sites") {
  // Sites differ wholly in level; inside each site the order is perfect.
  Scores s = plain({1, 0, 1, 0}, {0.2, 0.1, 0.9, 0.8});
  CHECK(auc(s) == 0.75);
  s.stratum = {0, 0, 1, 1};
  CHECK(auc(s) == 1.0);
  s.repeats = {{0.2, 0.2, 0.9, 0.9}};  // a constant in each site says nothing
  CHECK(auc(s) == 0.5);
  s.stratum = {0, 1, 0, 1};
  CHECK(contains(error_of([&] { auc(s); }), "no site has patients of both classes"));
}

TEST_CASE("auc: one class, one patient, NaN") {
  CHECK(contains(error_of([] { auc(plain({1, 1}, {1, 2})); }), "2 of 2 are of the class"));
  CHECK(contains(error_of([] { auc(plain({0, 0}, {1, 2})); }), "0 of 2 are of the class"));
  CHECK(contains(error_of([] { auc(plain({1, 0}, {std::nan(""), 2})); }), "not finite"));
  CHECK_FALSE(delong_interval(plain({1, 0, 0}, {1, 2, 0})).has_value());
  CHECK(delong_interval(plain({1, 1, 0, 0}, {1, 2, 1, 0})).has_value());
  CHECK(contains(error_of([] {
                   gather({{"p7", "S", 0, 0, 1, {std::nan("")}}}, "x.csv");
                 }),
                 "x.csv: row 2: patient p7 has a score that is not finite"));
}

TEST_CASE("auc: a paired test without variance has no p, and equal arms have p = 1") {
  const Scores perfect = plain({1, 1, 0, 0}, {1, 1, 0, 0}), constant = plain({1, 1, 0, 0}, {});
  Scores flat = constant;
  flat.repeats = {{1, 1, 1, 1}};
  CHECK(paired_delong(perfect, flat).difference == 0.5);
  CHECK_FALSE(paired_delong(perfect, flat).p.has_value());
  CHECK(*paired_delong(perfect, perfect).p == 1);
  CHECK(contains(error_of([&] {
                   paired_delong(perfect, plain({1, 0, 1, 0}, {1, 1, 0, 0}));
                 }),
                 "same patients"));
}

TEST_CASE("auc: gathering sorts by patient, and wants every patient in every repeat") {
  const std::vector<ScoredPatient> rows = {{"b", "T", 4, 1, 0, {0.1}},
                                           {"a", "S", 4, 0, 1, {0.5 + 1e-12}},
                                           {"a", "S", 2, 1, 1, {0.5}},
                                           {"b", "T", 2, 0, 0, {0.5}}};
  const Gathered g = gather(rows, "x.csv");
  CHECK(g.ids == std::vector<std::string>{"a", "b"});
  CHECK(g.repeats == std::vector<int>{2, 4});
  CHECK(g.folds == std::vector<std::vector<int32_t>>{{1, 0}, {0, 1}});
  CHECK(auc(against_rest(g, 1, false, "x")) == 0.75);  // a tie as written, then a win
  CHECK(contains(error_of([&] { against_rest(g, 0, false, "x"); }), "no score of class 0"));
  CHECK(contains(error_of([&] {
                   gather({rows.begin(), rows.begin() + 3}, "x.csv");
                 }),
                 "x.csv: patient b has no score in repeat 2"));
}

TEST_CASE("auc: of two score columns that mirror each other the macro mean is the plain AUC") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  const Scores s = random_scores(random, 30, 1, 0);
  std::vector<ScoredPatient> one, two;
  for (size_t i = 0; i < s.positive.size(); ++i) {
    const double x = s.repeats[0][i];
    one.push_back({std::to_string(100 + i), "", 0, 0, s.positive[i], {x}});
    two.push_back({std::to_string(100 + i), "", 0, 0, s.positive[i], {1 - x, x}});
  }
  const MacroAuc a = macro_auc(gather(one, "one"), false, "one");
  const MacroAuc b = macro_auc(gather(two, "two"), false, "two");
  CHECK(a.auc == doctest::Approx(auc(s)).epsilon(1e-12));
  CHECK(b.auc == doctest::Approx(a.auc).epsilon(1e-12));
  CHECK(b.interval->low == doctest::Approx(delong_interval(s)->low).epsilon(1e-10));
  CHECK(a.interval->high == doctest::Approx(b.interval->high).epsilon(1e-10));
}
