// Random answers to one question, for tests of statistics.
#pragma once
#include <algorithm>
#include <random>

#include "apps/study/auc.hpp"

namespace gliograd::test {

/// n >= 4 patients, scores of ten levels (so with ties), at least two of each class in stratum 0.
/// strata 0: all pairs count.
inline study::Scores random_scores(std::mt19937_64& random, int n, int repeats, int strata) {
  std::uniform_int_distribution<int> level(0, 9), coin(0, 2), site(0, std::max(0, strata - 1));
  study::Scores s;
  s.name = "random";
  for (int i = 0; i < n; ++i) s.positive.push_back(i < 4 ? i % 2 : coin(random) == 0);
  for (int i = 0; i < n && strata > 0; ++i) s.stratum.push_back(i < 4 ? 0 : site(random));
  for (int r = 0; r < repeats; ++r) {
    s.repeats.emplace_back();
    for (int i = 0; i < n; ++i) s.repeats.back().push_back(0.1 * level(random));
  }
  return s;
}

/// Normal scores, those of the positives higher by `shift` standard deviations: the true AUC is
/// Phi(shift / sqrt 2).
inline study::Scores binormal_scores(std::mt19937_64& random, int positives, int negatives,
                                     double shift) {
  std::normal_distribution<double> normal;
  study::Scores s;
  s.name = "binormal";
  s.repeats.emplace_back();
  for (int i = 0; i < positives + negatives; ++i) {
    s.positive.push_back(i < positives);
    s.repeats[0].push_back(normal(random) + (i < positives ? shift : 0));
  }
  return s;
}

}  // namespace gliograd::test
