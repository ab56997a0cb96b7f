#include "data/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "tests/data/toy_set.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

/// 7 patients of 1 to 9 slices; class 1 has two of them.
const std::vector<int> kSlices = {3, 9, 1, 5, 2, 7, 4};
const std::vector<int32_t> kLabels = {0, 0, 1, 0, 0, 1, 0};
const std::vector<int32_t> kAll = {0, 1, 2, 3, 4, 5, 6};

/// Mean draws of each slice over many epochs, and a bound on how far they can be off by chance.
std::vector<double> mean_draws(const Dataset& set, const SamplerOptions& options, int epochs) {
  std::vector<double> mean(set.slices.size());
  for (int e = 0; e < epochs; ++e) {
    for (const int32_t s : epoch_draws(set, kAll, kLabels, options, e)) mean[s] += 1.0 / epochs;
  }
  return mean;
}

}  // namespace

TEST_CASE("sampler: expectation: classes, patients in a class, slices in a patient count equally") {
  const auto seed = static_cast<uint32_t>(fresh_seed());
  INFO("seed ", seed);
  const Dataset set = toy_set(kSlices);
  const int epochs = 4000;
  for (const bool by_area : {false, true}) {
    for (const bool balance : {false, true}) {
      const SamplerOptions options{.batch = 8,
                                   .balance_classes = balance,
                                   .weight_by_area = by_area,
                                   .random = {.seed = seed}};
      const std::vector<double> mean = mean_draws(set, options, epochs);
      for (size_t s = 0; s < mean.size(); ++s) {
        const Slice& slice = set.slices[s];
        const int n = kSlices[slice.patient];
        const double in_patient =
            by_area ? slice.area / (n * (n + 1) / 2.0) : 1.0 / n;  // areas are 1 ... n
        const double patient = balance ? 0.5 / (kLabels[slice.patient] == 1 ? 2 : 5) : 1.0 / 7;
        const double expected = 32 * patient * in_patient;  // 31 slices: 4 batches of 8
        CAPTURE(s);
        CAPTURE(balance);
        CAPTURE(by_area);
        // A count is rounded up or down twice, so its deviation is below 1: 5 standard errors.
        CHECK(std::fabs(mean[s] - expected) < 5.0 / std::sqrt(epochs));
      }
    }
  }
}

TEST_CASE("sampler: in every epoch counts are the expected ones, rounded up or down") {
  const Dataset set = toy_set(kSlices);
  for (int epoch = 0; epoch < 50; ++epoch) {
    const auto draws = epoch_draws(set, kAll, kLabels, {.batch = 8, .random = {.seed = 4}}, epoch);
    REQUIRE(draws.size() == 32);
    std::vector<int> per_class(2), per_patient(7), per_slice(set.slices.size());
    for (const int32_t s : draws) {
      ++per_slice[s];
      ++per_patient[set.slices[s].patient];
      ++per_class[kLabels[set.slices[s].patient]];
    }
    CHECK(std::abs(per_class[0] - 16) <= 1);
    for (int p = 0; p < 7; ++p) {
      const double expected = 16.0 / (kLabels[p] == 1 ? 2 : 5);
      CHECK(std::fabs(per_patient[p] - expected) <= 1);
      for (int64_t s = first_slice(set, p); s < first_slice(set, p + 1); ++s) {
        CHECK(std::fabs(per_slice[s] - static_cast<double>(per_patient[p]) / kSlices[p]) < 1);
      }
    }
    for (int batch = 0; batch < 4; ++batch) {  // each batch is balanced, too
      int positives = 0;
      for (int i = 0; i < 8; ++i) {
        positives += kLabels[set.slices[draws[batch * 8 + i]].patient];
      }
      CHECK(std::abs(positives - 4) <= 2);
    }
  }
}

TEST_CASE("sampler: a pure function of key and epoch; other keys and epochs differ") {
  const Dataset set = toy_set(std::vector<int>(20, 6));
  std::vector<int32_t> labels, patients;
  for (int p = 0; p < 20; ++p) {
    labels.push_back(p % 3 == 0);
    if (p % 5 != 0) patients.push_back(p);
  }
  const SamplerOptions options{.batch = 16, .random = {.seed = 9, .fold = 2}};
  const auto draws = epoch_draws(set, patients, labels, options, 3);
  CHECK(draws.size() == 96);
  CHECK(draws == epoch_draws(set, patients, labels, options, 3));
  CHECK(draws != epoch_draws(set, patients, labels, options, 4));
  SamplerOptions other = options;
  other.random.fold = 3;
  CHECK(draws != epoch_draws(set, patients, labels, other, 3));
  for (const int32_t s : draws) CHECK(set.slices[s].patient % 5 != 0);
}

TEST_CASE("sampler: labels of slices: both classes get half, patients with both count in each") {
  const Dataset set = toy_set({4, 10});
  std::vector<int32_t> slices(14), labels(14, 0);
  std::iota(slices.begin(), slices.end(), 0);
  labels[0] = 1;                // one of patient 0's slices shows tumor
  labels[12] = labels[13] = 1;  // two of patient 1's
  std::map<int32_t, int> drawn;
  const int epochs = 200;
  for (int e = 0; e < epochs; ++e) {
    for (const int32_t s : epoch_draws_by_slice(set, slices, labels, {.batch = 7}, e)) ++drawn[s];
  }
  // 14 draws: 7 a class, 3.5 a patient in it.
  CHECK(drawn[0] == doctest::Approx(3.5 * epochs).epsilon(0.06));
  CHECK(drawn[12] + drawn[13] == doctest::Approx(3.5 * epochs).epsilon(0.06));
  CHECK(drawn[1] + drawn[2] + drawn[3] == doctest::Approx(3.5 * epochs).epsilon(0.06));
}

TEST_CASE("sampler: a patient without any tumor area is drawn uniformly when areas weigh") {
  Dataset set = toy_set({3, 3});
  for (int s = 0; s < 3; ++s) set.slices[s].area = 0;
  const auto draws = epoch_draws(set, {0, 1}, {0, 1}, {.batch = 18, .weight_by_area = true}, 0);
  for (int32_t s = 0; s < 3; ++s) CHECK(std::count(draws.begin(), draws.end(), s) == 3);
}

TEST_CASE("sampler: nonsense is refused") {
  const Dataset set = toy_set({2, 2});
  CHECK(contains(error_of([&] {
                   epoch_draws(set, {0}, {0, 1}, {.batch = 0}, 0);
                 }),
                 "batch must be at least 1; got 0"));
  CHECK(contains(error_of([&] {
                   epoch_draws(set, {1}, {0, -1}, {}, 0);
                 }),
                 "training patient P001 has no label"));
  CHECK(contains(error_of([&] { epoch_draws(set, {}, {0, 1}, {}, 0); }), "nothing to train on"));
  CHECK(contains(error_of([&] { epoch_draws(set, {0}, {0, 1}, {}, -1); }), "epoch must be"));
  CHECK(batches_per_epoch(1373, 32) == 43);
}
