#include "apps/study/logistic.hpp"

#include <cmath>
#include <limits>
#include <random>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::study;
using test::contains;
using test::error_of;

namespace {

const double kNaN = std::numeric_limits<double>::quiet_NaN();

// Penalized loss by its definition, for a check that shares no code with the fit.
double loss(const LogisticModel& model, const std::vector<std::vector<double>>& rows,
            const std::vector<int32_t>& labels, double penalty) {
  std::vector<double> count(model.classes, 0);
  for (const int32_t label : labels) count[label] += 1;
  double sum = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double weight = static_cast<double>(rows.size()) / (model.classes * count[labels[i]]);
    sum -= weight * std::log(model.probabilities(rows[i])[labels[i]]);
  }
  for (const auto& w : model.weights) {
    for (size_t f = 0; f + 1 < w.size(); ++f) sum += 0.5 * penalty * w[f] * w[f];
  }
  return sum;
}

}  // namespace

TEST_CASE("logistic: the fit is a minimum, for two and for more classes") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  for (const int classes : {2, 3, 4}) {
    std::vector<std::vector<double>> rows;
    std::vector<int32_t> labels;
    for (int i = 0; i < 60; ++i) {
      labels.push_back(i < 4 ? i % classes : static_cast<int32_t>(random() % classes));
      rows.push_back({normal(random) + labels.back(), normal(random), 0.0});
    }
    for (const double penalty : {0.01, 1.0, 30.0}) {
      const LogisticModel model = fit_logistic(rows, labels, classes, {.penalty = penalty});
      REQUIRE(model.weights.size() == (classes == 2 ? 1u : static_cast<size_t>(classes)));
      const double at = loss(model, rows, labels, penalty);
      for (size_t k = 0; k < model.weights.size(); ++k) {
        CHECK(std::abs(model.weights[k][2]) < 1e-9);  // of a constant 0
        for (size_t f = 0; f < model.weights[k].size(); ++f) {
          for (const double step : {-1e-3, 1e-3}) {
            LogisticModel moved = model;
            moved.weights[k][f] += step;
            CHECK(loss(moved, rows, labels, penalty) > at - 1e-10);
          }
          // Central difference of the loss: zero at the minimum.
          LogisticModel up = model, down = model;
          up.weights[k][f] += 1e-5;
          down.weights[k][f] -= 1e-5;
          const double slope =
              (loss(up, rows, labels, penalty) - loss(down, rows, labels, penalty)) / 2e-5;
          CHECK(std::abs(slope) < 1e-5);
        }
      }
    }
  }
}

TEST_CASE("logistic: without information every class is equally likely, however rare") {
  const std::vector<std::vector<double>> rows(20, {0.0});
  std::vector<int32_t> labels(20, 0);
  labels[3] = 1;
  const LogisticModel two = fit_logistic(rows, labels, 2);
  CHECK(two.probabilities({0.0})[1] == doctest::Approx(0.5).epsilon(1e-12));
  labels[5] = labels[7] = 2;
  const LogisticModel three = fit_logistic(rows, labels, 3);
  for (const double p : three.probabilities({0.0})) CHECK(p == doctest::Approx(1.0 / 3));
  const LogisticModel plain = fit_logistic(rows, labels, 3, {.balance_classes = false});
  CHECK(plain.probabilities({0.0})[2] == doctest::Approx(0.1).epsilon(1e-8));
  CHECK(fit_logistic({{}, {}}, {0, 1}, 2).probabilities({})[0] == 0.5);
}

TEST_CASE("logistic: separable classes converge, the penalty bounds the weight") {
  std::vector<std::vector<double>> rows;
  std::vector<int32_t> labels;
  for (int i = 0; i < 40; ++i) {
    rows.push_back({i < 20 ? -1.0 : 1.0});
    labels.push_back(i >= 20);
  }
  // By hand: 40 sigmoid(-w) = penalty w.
  const double w = fit_logistic(rows, labels, 2, {.penalty = 1e-3}).weights[0][0];
  CHECK(40 / (1 + std::exp(w)) == doctest::Approx(1e-3 * w).epsilon(1e-6));
}

TEST_CASE("logistic: bad arguments") {
  CHECK(contains(error_of([] { fit_logistic({}, {}, 2); }), "0 rows"));
  CHECK(contains(error_of([] { fit_logistic({{1}, {kNaN}}, {0, 1}, 2); }), "row 1 holds a value"));
  CHECK(contains(error_of([] { fit_logistic({{1}, {1, 2}}, {0, 1}, 2); }), "2 features"));
  CHECK(contains(error_of([] { fit_logistic({{1}, {2}}, {0, 0}, 2); }), "class 1 has no row"));
  CHECK(contains(error_of([] { fit_logistic({{1}, {2}}, {0, 2}, 2); }), "label 2 of row 1"));
  CHECK(contains(error_of([] {
                   fit_logistic({{1}, {2}}, {0, 1}, 2, {.penalty = 0});
                 }),
                 "must be positive"));
}

TEST_CASE("standardizer: only training patients have a say") {
  FeatureColumns columns = {{1, 3, kNaN, 100}, {5, 5, 5, 9}, {kNaN, kNaN, kNaN, 1}};
  const std::vector<int32_t> training = {0, 1, 2};
  const Standardizer s(columns, training);
  // First: mean 2, squares 1, 1 and 0 over 3; its indicator has mean 1/3. The constant and the
  // unknown one become 0, the latter without an indicator, for it would be constant too.
  const double deviation = std::sqrt(2.0 / 3), indicator = std::sqrt(2.0) / 3;
  CHECK(s.row(columns, 0)[0] == doctest::Approx(-1 / deviation));
  CHECK(s.row(columns, 0)[1] == doctest::Approx(-1 / 3.0 / indicator));
  CHECK(s.row(columns, 2)[0] == 0);
  CHECK(s.row(columns, 2)[1] == doctest::Approx(2 / 3.0 / indicator));
  const std::vector<double> test_patient = s.row(columns, 3);
  REQUIRE(test_patient.size() == 4);
  CHECK(test_patient[0] == doctest::Approx(98 / deviation));
  CHECK(test_patient[1] == doctest::Approx(-1 / 3.0 / indicator));
  CHECK(test_patient[2] == 0);
  CHECK(test_patient[3] == 0);
  columns[0][3] = columns[1][3] = -7;  // of a test patient: changes nothing for the others
  CHECK(Standardizer(columns, training).row(columns, 0) == s.row(columns, 0));
}
