#include "apps/study/significance.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

// The AUC of the patients `chosen`, in the repeats `from` to `to`; none below `least` of a class.
void fill_part(const Gathered& patients, int positive, const std::vector<size_t>& chosen,
               size_t from, size_t to, int least, PartAuc& part) {
  Scores scores;
  for (const size_t p : chosen) scores.positive.push_back(patients.labels[p] == positive);
  part.n = static_cast<int>(chosen.size());
  part.positives = std::accumulate(scores.positive.begin(), scores.positive.end(), 0);
  if (part.positives < least || part.n - part.positives < least) return;
  for (size_t r = from; r < to; ++r) {
    const auto& column = patients.scores[r][patients.columns() == 1 ? 0 : positive];
    std::vector<double>& repeat = scores.repeats.emplace_back();
    for (const size_t p : chosen) repeat.push_back(column[p]);
  }
  part.auc = auc(scores);
}

}  // namespace

std::vector<std::optional<double>> holm(const std::vector<std::optional<double>>& p) {
  std::vector<size_t> order;
  for (size_t i = 0; i < p.size(); ++i) {
    if (!p[i]) continue;
    GG_CHECK(*p[i] >= 0 && *p[i] <= 1, "holm: p must lie in [0, 1]; got ", *p[i]);
    order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return *p[a] < *p[b]; });
  std::vector<std::optional<double>> corrected(p.size());
  double largest = 0;
  for (size_t k = 0; k < order.size(); ++k) {
    largest = std::max(largest, static_cast<double>(p.size() - k) * *p[order[k]]);
    corrected[order[k]] = std::min(1.0, largest);
  }
  return corrected;
}

double permutation_p(double observed, const std::vector<double>& shuffled) {
  GG_CHECK(!shuffled.empty() && std::isfinite(observed), "permutation_p: needs an AUC and ",
           "at least one permutation; got ", observed, " and ", shuffled.size());
  int at_least = 0;
  for (const double value : shuffled) {
    GG_CHECK(std::isfinite(value), "permutation_p: a permutation's AUC is not finite");
    // Equal counts of pairs divided in another order may differ in the last bit.
    if (value >= observed - 1e-12) ++at_least;
  }
  return (at_least + 1.0) / (static_cast<double>(shuffled.size()) + 1.0);
}

Spread spread_of(const std::vector<double>& values) {
  GG_CHECK(!values.empty(), "spread_of: no values");
  Spread spread;
  spread.count = static_cast<int>(values.size());
  spread.low = spread.high = values.front();
  for (const double v : values) {
    GG_CHECK(std::isfinite(v), "spread_of: a value is not finite");
    spread.mean += v / spread.count;
    spread.low = std::min(spread.low, v);
    spread.high = std::max(spread.high, v);
  }
  if (spread.count < 2) return spread;
  double squares = 0;
  for (const double v : values) squares += (v - spread.mean) * (v - spread.mean);
  spread.deviation = std::sqrt(squares / (spread.count - 1));
  return spread;
}

std::vector<PartAuc> fold_aucs(const Gathered& patients, int positive) {
  std::vector<PartAuc> parts;
  for (size_t r = 0; r < patients.repeats.size(); ++r) {
    std::map<int, std::vector<size_t>> members;
    for (size_t p = 0; p < patients.ids.size(); ++p) members[patients.folds[r][p]].push_back(p);
    for (const auto& [fold, chosen] : members) {
      PartAuc& part = parts.emplace_back();
      part.repeat = patients.repeats[r];
      part.fold = fold;
      fill_part(patients, positive, chosen, r, r + 1, 1, part);
    }
  }
  return parts;
}

std::vector<PartAuc> site_aucs(const Gathered& patients, int positive, int least) {
  std::map<std::string, std::vector<size_t>> members;
  for (size_t p = 0; p < patients.ids.size(); ++p) members[patients.sites[p]].push_back(p);
  std::vector<PartAuc> parts;
  for (const auto& [site, chosen] : members) {
    PartAuc& part = parts.emplace_back();
    part.site = site;
    fill_part(patients, positive, chosen, 0, patients.repeats.size(), least, part);
  }
  return parts;
}

}  // namespace gliograd::study
