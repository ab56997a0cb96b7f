#include "apps/study/bootstrap.hpp"

#include <chrono>
#include <cmath>
#include <random>

#include "tests/study/toy_scores.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::study;
using test::contains;
using test::error_of;

TEST_CASE("bootstrap: every resample keeps the size of each class") {
  const std::vector<int32_t> classes = {0, 1, 1, 2, 0, 1, 0, 0, 2};
  const PatientDraws draws(classes, 5);
  std::vector<int32_t> counts, first;
  std::vector<double> mean(classes.size());
  for (int d = 0; d < 4000; ++d) {
    draws.counts(d, counts);
    int sizes[3] = {0, 0, 0};
    for (size_t i = 0; i < classes.size(); ++i) {
      sizes[classes[i]] += counts[i];
      mean[i] += counts[i] / 4000.0;
    }
    REQUIRE(sizes[0] == 4);
    REQUIRE(sizes[1] == 3);
    REQUIRE(sizes[2] == 2);
    if (d == 0) first = counts;
    if (d == 1) CHECK(counts != first);
  }
  for (const double m : mean) CHECK(m == doctest::Approx(1).epsilon(0.08));
  draws.counts(0, counts);
  CHECK(counts == first);
}

TEST_CASE("bootstrap: the AUC of a resample is the AUC of its patients written out") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  for (int trial = 0; trial < 20; ++trial) {
    const Scores s = test::random_scores(random, 30, 1 + trial % 3, trial % 4);
    const PatientDraws draws({s.positive.begin(), s.positive.end()}, trial);
    std::vector<int32_t> counts;
    draws.counts(trial, counts);
    Scores written = s;
    written.positive.clear();
    written.stratum.clear();
    for (auto& repeat : written.repeats) repeat.clear();
    for (size_t i = 0; i < counts.size(); ++i) {
      for (int copy = 0; copy < counts[i]; ++copy) {
        written.positive.push_back(s.positive[i]);
        if (!s.stratum.empty()) written.stratum.push_back(s.stratum[i]);
        for (size_t r = 0; r < s.repeats.size(); ++r) {
          written.repeats[r].push_back(s.repeats[r][i]);
        }
      }
    }
    CHECK(SortedScores(s).auc(counts) == doctest::Approx(auc(written)).epsilon(1e-12));
  }
}

TEST_CASE("bootstrap: the interval agrees with DeLong's on a cohort of ordinary size") {
  std::mt19937_64 random(7);
  const Scores s = test::binormal_scores(random, 100, 100, 1.0);
  const Interval a = *delong_interval(s), b = bootstrap_interval(s);
  CHECK(std::abs(a.low - b.low) < 0.02);
  CHECK(std::abs(a.high - b.high) < 0.02);
  CHECK(b.low < auc(s));
  CHECK(b.high > auc(s));
  const Interval other = bootstrap_interval(s, {.draws = 2000, .seed = 2});
  CHECK(other.low != b.low);
  CHECK(std::abs(other.low - b.low) < 0.01);
}

TEST_CASE("bootstrap: repeats that say the same leave intervals and bands as they were") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  Scores a = test::random_scores(random, 50, 1, 2), b = test::random_scores(random, 50, 1, 0);
  b.positive = a.positive;
  b.stratum = a.stratum;
  const Interval one = bootstrap_interval(a), paired = paired_bootstrap_interval(a, b);
  const std::vector<RocPoint> curve = roc_band(a, {.draws = 200}, 20);
  for (int copy = 0; copy < 4; ++copy) {
    a.repeats.push_back(a.repeats.front());
    b.repeats.push_back(b.repeats.front());
  }
  CHECK(bootstrap_interval(a).low == one.low);
  CHECK(bootstrap_interval(a).high == one.high);
  CHECK(paired_bootstrap_interval(a, b).low == paired.low);
  const std::vector<RocPoint> again = roc_band(a, {.draws = 200}, 20);
  for (size_t g = 0; g < curve.size(); ++g) {
    CHECK(again[g].true_positive_rate ==
          doctest::Approx(curve[g].true_positive_rate).epsilon(1e-12));
    CHECK(again[g].low == doctest::Approx(curve[g].low).epsilon(1e-12));
  }
}

TEST_CASE("bootstrap: an arm against itself differs by exactly nothing") {
  std::mt19937_64 random(3);
  const Scores s = test::random_scores(random, 40, 2, 0);
  const Interval none = paired_bootstrap_interval(s, s);
  CHECK(none.low == 0);
  CHECK(none.high == 0);
  CHECK(contains(
      error_of([&] { paired_bootstrap_interval(s, test::random_scores(random, 41, 1, 0)); }),
      "same patients"));
}

TEST_CASE("bootstrap: one class and no draws are refused") {
  Scores s;
  s.positive = {1, 1, 1};
  s.repeats = {{1, 2, 3}};
  s.name = "x.csv";
  CHECK(contains(error_of([&] { bootstrap_interval(s); }), "x.csv: an AUC needs patients of both"));
  s.positive = {1, 0, 1};
  CHECK(contains(error_of([&] { bootstrap_interval(s, {.draws = 0}); }), "at least 1; got 0"));
  CHECK(bootstrap_interval(s).low >= 0);  // one negative: always itself
}

TEST_CASE("quantile: between order statistics, as numpy's default") {
  CHECK(quantile({3, 1, 2}, 0.5) == 2);
  CHECK(quantile({1, 2, 3, 4}, 0.25) == doctest::Approx(1.75).epsilon(1e-15));
  CHECK(quantile({5}, 0.975) == 5);
  CHECK(quantile({1, 2}, 1) == 2);
  CHECK(contains(error_of([] { quantile({}, 0.5); }), "needs values"));
}

TEST_CASE("roc: by hand, steps and a diagonal for a tie") {
  Scores s;
  s.positive = {1, 0, 1, 0};
  s.repeats = {{4, 3, 2, 1}};
  std::vector<RocPoint> curve = roc_band(s, {.draws = 10}, 4);
  const std::vector<double> steps = {0.5, 0.5, 1, 1, 1};
  for (int g = 0; g <= 4; ++g) CHECK(curve[g].true_positive_rate == steps[g]);
  s.repeats = {{1, 1, 1, 1}};
  curve = roc_band(s, {.draws = 10}, 4);
  for (int g = 0; g <= 4; ++g) {
    CHECK(curve[g].true_positive_rate == 0.25 * g);
    CHECK(curve[g].low == 0.25 * g);
    CHECK(curve[g].high == 0.25 * g);
  }
}

TEST_CASE("roc: the area under the mean curve is the AUC, over repeats and sites") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  constexpr int kGrid = 5000;
  for (int strata = 0; strata < 4; ++strata) {
    const Scores s = test::random_scores(random, 60, 2, strata);
    const std::vector<RocPoint> curve = roc_band(s, {.draws = 40}, kGrid);
    double area = 0;
    for (int g = 1; g <= kGrid; ++g) {
      area += (curve[g].true_positive_rate + curve[g - 1].true_positive_rate) / (2.0 * kGrid);
      CHECK(curve[g].true_positive_rate >= curve[g - 1].true_positive_rate - 1e-12);
      CHECK(curve[g].low <= curve[g].high);
    }
    CHECK(std::abs(area - auc(s)) < 1.0 / kGrid);
    CHECK(curve.back().true_positive_rate == doctest::Approx(1).epsilon(1e-12));
  }
}

TEST_CASE("bootstrap: 2,000 draws of 110 patients take a moment") {
  std::mt19937_64 random(1);
  const Scores s = test::binormal_scores(random, 24, 86, 0.9);
  const auto start = std::chrono::steady_clock::now();
  bootstrap_interval(s);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  MESSAGE("bootstrap of 24 against 86: ", seconds.count(), " s");
  CHECK(seconds.count() < 0.2);
}
