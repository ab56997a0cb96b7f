#include "apps/study/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::study;
using test::contains;
using test::error_of;

namespace {

std::vector<ScoredPatient> run(std::mt19937_64& random, int n, double signal, int columns = 1) {
  std::normal_distribution<double> normal;
  std::vector<ScoredPatient> rows;
  for (int i = 0; i < n; ++i) {
    const int label = i % (columns == 1 ? 2 : columns);
    rows.push_back({"p" + std::to_string(1000 + i), i / 10 % 2 ? "A" : "B", 0, i % 5, label, {}});
    for (int c = 0; c < columns; ++c) {
      const bool own = columns == 1 ? label == 1 : label == c;
      rows.back().scores.push_back(signal * own + normal(random));
    }
  }
  return rows;
}

Arm arm(const std::string& name, std::vector<std::vector<ScoredPatient>> runs) {
  Arm a;
  a.name = name;
  a.runs = std::move(runs);
  for (size_t r = 0; r < a.runs.size(); ++r) a.run_names.push_back(name + std::to_string(r));
  return a;
}

}  // namespace

TEST_CASE("comparison: numbers are those of the parts") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  const auto a1 = run(random, 60, 1), a2 = run(random, 60, 1), b = run(random, 60, 0.2),
             c = run(random, 60, 0.5);
  const Comparison it =
      compare_arms({arm("a", {a1, a2}), arm("b", {b}), arm("c", {c})}, {.reference = 1});
  REQUIRE(it.arms.size() == 3);
  CHECK(it.common_patients == 60);
  CHECK_FALSE(it.arms[1].paired.has_value());
  const auto gathered = [](const std::vector<std::vector<ScoredPatient>>& runs) {
    return against_rest(gather(merge_runs(runs, std::vector<std::string>(runs.size(), "x")), "x"),
                        1, false, "x");
  };
  const Scores sa = gathered({a1, a2}), sb = gathered({b}), sc = gathered({c});
  CHECK(it.arms[0].metrics.auc == auc(sa));
  CHECK(it.arms[0].seeds.count == 2);
  CHECK(it.arms[0].seeds.mean == doctest::Approx(auc(sa)).epsilon(1e-12));
  CHECK(*it.arms[0].paired->p == doctest::Approx(*paired_delong(sa, sb).p).epsilon(1e-10));
  CHECK(it.arms[0].paired_bootstrap->low ==
        doctest::Approx(paired_bootstrap_interval(sa, sb).low).epsilon(1e-10));
  CHECK(it.arms[2].paired->difference == doctest::Approx(auc(sc) - auc(sb)).epsilon(1e-12));
  const auto corrected = holm({it.arms[0].paired->p, it.arms[2].paired->p});
  CHECK(*it.arms[0].p_holm == *corrected[0]);
  CHECK(*it.arms[2].p_holm == *corrected[1]);
}

TEST_CASE("comparison: pairs are formed of the patients that all arms have") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  const auto a = run(random, 40, 1), b = run(random, 40, 0.5);
  auto less = b;
  less.erase(less.begin() + 3, less.begin() + 9);
  const Comparison it = compare_arms({arm("a", {a}), arm("b", {less})});
  CHECK(it.common_patients == 34);
  CHECK(it.arms[0].metrics.n == 40);
  CHECK(it.arms[1].metrics.n == 34);
  auto cut = a;
  cut.erase(cut.begin() + 3, cut.begin() + 9);
  const Comparison same = compare_arms({arm("a", {cut}), arm("b", {less})});
  CHECK(it.arms[1].paired->difference == same.arms[1].paired->difference);
  CHECK(*it.arms[1].paired->p == *same.arms[1].paired->p);
}

TEST_CASE("comparison: an arm against itself, several classes, and sites") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  const auto a = run(random, 60, 1, 3), b = run(random, 60, 0.5, 3);
  const Comparison it = compare_arms({arm("a", {a}), arm("b", {b}), arm("again", {a})});
  CHECK(*it.arms[2].paired->p == 1);
  CHECK(it.arms[2].paired_bootstrap->low == 0);
  CHECK(it.arms[1].paired->difference ==
        doctest::Approx(it.arms[1].metrics.auc - it.arms[0].metrics.auc).epsilon(1e-12));
  CHECK(*it.arms[1].paired->p < 1);
  Arm site = arm("site", {b});
  site.split = data::SplitKind::site;
  const Comparison mixed = compare_arms({arm("a", {a}), site});
  CHECK(mixed.arms[1].metrics.within_site);
  CHECK_FALSE(mixed.arms[1].paired.has_value());
}

TEST_CASE("comparison: arms that answer different questions are refused by name") {
  std::mt19937_64 random(1);
  const auto a = run(random, 20, 1);
  auto b = a;
  b[5].label = 1 - b[5].label;
  CHECK(contains(error_of([&] {
                   compare_arms({arm("a", {a}), arm("b", {b})});
                 }),
                 "arms a and b cannot be compared: patient p1005 has another label"));
  b = a;
  b[5].site = "Z";
  CHECK(contains(error_of([&] {
                   compare_arms({arm("a", {a}), arm("b", {b})});
                 }),
                 "patient p1005 has another site"));
  CHECK(contains(error_of([&] {
                   compare_arms({arm("a", {a}), arm("b", {run(random, 20, 1, 3)})});
                 }),
                 "1 and 3 score columns"));
  CHECK(contains(error_of([] { compare_arms({}); }), "0 arms"));
}
