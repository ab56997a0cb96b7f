#include "apps/study/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/error.hpp"
#include "kernels/philox.hpp"

namespace gliograd::study {
namespace {

std::vector<int32_t> classes_of(const Scores& scores) {
  return {scores.positive.begin(), scores.positive.end()};
}

// The positives and negatives of one order under counts.
template <class Entries>
void count_classes(const Entries& order, const std::vector<int32_t>& counts, int64_t& positives,
                   int64_t& negatives) {
  positives = negatives = 0;
  for (const auto& entry : order) {
    (entry.positive ? positives : negatives) += counts[entry.patient];
  }
}

}  // namespace

PatientDraws::PatientDraws(const std::vector<int32_t>& classes, uint32_t seed)
    : seed_(seed), patients_(classes.size()) {
  for (size_t i = 0; i < classes.size(); ++i) {
    const auto label = static_cast<size_t>(classes[i]);
    if (label >= members_.size()) members_.resize(label + 1);
    members_[label].push_back(static_cast<int32_t>(i));
  }
}

void PatientDraws::counts(int draw, std::vector<int32_t>& counts) const {
  counts.assign(patients_, 0);
  for (size_t label = 0; label < members_.size(); ++label) {
    const std::vector<int32_t>& members = members_[label];
    kernels::PhiloxBlock block{};
    for (size_t i = 0; i < members.size(); ++i) {
      if (i % 4 == 0) {
        block = kernels::philox({{seed_, 0}},
                                kernels::counter_of({.position = i / 4,
                                                     .layer = static_cast<uint32_t>(label),
                                                     .draw = static_cast<uint32_t>(draw),
                                                     .epoch = 0,
                                                     .purpose = kernels::Purpose::bootstrap}));
      }
      const auto n = static_cast<uint32_t>(members.size());
      ++counts[members[kernels::below(block.word[i % 4], n)]];
    }
  }
}

SortedScores::SortedScores(const Scores& scores) {
  int32_t strata = 1;
  for (const int32_t s : scores.stratum) strata = std::max(strata, s + 1);
  for (const std::vector<double>& score : scores.repeats) {
    std::vector<std::vector<int32_t>> members(strata);
    for (size_t i = 0; i < score.size(); ++i) {
      members[scores.stratum.empty() ? 0 : scores.stratum[i]].push_back(static_cast<int32_t>(i));
    }
    auto& orders = orders_.emplace_back();
    for (std::vector<int32_t>& order : members) {
      std::sort(order.begin(), order.end(),
                [&](int32_t a, int32_t b) { return score[a] < score[b]; });
      auto& entries = orders.emplace_back();
      for (size_t k = 0; k < order.size(); ++k) {
        const bool last = k + 1 == order.size() || score[order[k + 1]] != score[order[k]];
        entries.push_back({order[k], scores.positive[order[k]] != 0, last});
      }
    }
  }
}

double SortedScores::auc(const std::vector<int32_t>& counts) const {
  int64_t won_twice = 0, pairs = 0;  // integers: the same whatever the order of summing
  for (const auto& orders : orders_) {
    for (const auto& order : orders) {
      int64_t below = 0, tied_positive = 0, tied_negative = 0, positives = 0;
      for (const Entry& entry : order) {
        (entry.positive ? tied_positive : tied_negative) += counts[entry.patient];
        if (!entry.last_of_tie) continue;
        won_twice += tied_positive * (2 * below + tied_negative);
        below += tied_negative;
        positives += tied_positive;
        tied_positive = tied_negative = 0;
      }
      pairs += positives * below;
    }
  }
  if (pairs == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(won_twice) / (2.0 * static_cast<double>(pairs));
}

// From the highest score down: every tie group is one straight piece from (false, true) to
// (false + tied negatives, true + tied positives). Grid points are compared in whole numbers.
bool SortedScores::roc(const std::vector<int32_t>& counts, int grid,
                       std::vector<double>& rates) const {
  rates.assign(grid + 1, 0);
  std::vector<double> one(grid + 1);
  double weight = 0;
  for (const auto& orders : orders_) {
    for (const auto& order : orders) {
      int64_t positives = 0, negatives = 0;
      count_classes(order, counts, positives, negatives);
      if (positives == 0 || negatives == 0) continue;
      int64_t x = 0, y = 0, next = 1;  // next: the first grid point right of x
      one[0] = 0;
      for (size_t k = order.size(); k > 0;) {
        int64_t dx = 0, dy = 0;
        do {
          (order[k - 1].positive ? dy : dx) += counts[order[k - 1].patient];
          --k;
        } while (k > 0 && !order[k - 1].last_of_tie);
        if (dx == 0) {
          if ((next - 1) * negatives == x * grid) one[next - 1] = static_cast<double>(y + dy);
        } else {
          for (; next <= grid && next * negatives <= (x + dx) * grid; ++next) {
            const double along =
                (static_cast<double>(next * negatives) / grid - static_cast<double>(x)) /
                static_cast<double>(dx);
            one[next] = static_cast<double>(y) + along * static_cast<double>(dy);
          }
        }
        x += dx;
        y += dy;
      }
      weight += static_cast<double>(positives * negatives);
      for (int g = 0; g <= grid; ++g) rates[g] += one[g] * static_cast<double>(negatives);
    }
  }
  if (weight == 0) return false;
  for (double& rate : rates) rate /= weight;
  return true;
}

double quantile(std::vector<double> values, double q) {
  GG_CHECK(!values.empty() && q >= 0 && q <= 1, "quantile: needs values and 0 <= q <= 1; got ",
           values.size(), " values and q = ", q);
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
}

Interval percentile_interval(const std::vector<double>& values) {
  return {quantile(values, 0.025), quantile(values, 0.975)};
}

std::vector<double> bootstrap_aucs(const Scores& scores, const BootstrapOptions& options) {
  GG_CHECK(options.draws >= 1, "bootstrap: draws must be at least 1; got ", options.draws);
  auc_influence(scores);  // refuses what has no AUC
  const PatientDraws draws(classes_of(scores), options.seed);
  const SortedScores sorted(scores);
  std::vector<double> aucs;
  std::vector<int32_t> counts;
  for (int d = 0; d < options.draws; ++d) {
    draws.counts(d, counts);
    const double value = sorted.auc(counts);
    if (!std::isnan(value)) aucs.push_back(value);
  }
  if (aucs.empty()) throw Error(concat_text(scores.name, ": no resample has an AUC"));
  return aucs;
}

Interval bootstrap_interval(const Scores& scores, const BootstrapOptions& options) {
  return percentile_interval(bootstrap_aucs(scores, options));
}

Interval paired_bootstrap_interval(const Scores& a, const Scores& b,
                                   const BootstrapOptions& options) {
  GG_CHECK(a.positive == b.positive && a.stratum == b.stratum,
           "a paired bootstrap needs the same patients, classes and sites in both arms: ", a.name,
           " and ", b.name);
  // Same patients and seed: the same resamples, and the same ones are left out.
  std::vector<double> differences = bootstrap_aucs(a, options);
  const std::vector<double> other = bootstrap_aucs(b, options);
  for (size_t d = 0; d < differences.size(); ++d) differences[d] -= other[d];
  return percentile_interval(differences);
}

std::vector<double> macro_bootstrap_aucs(const Gathered& patients, bool within_site,
                                         const std::string& name, const BootstrapOptions& options) {
  GG_CHECK(options.draws >= 1, "bootstrap: draws must be at least 1; got ", options.draws);
  macro_auc(patients, within_site, name);  // refuses what has no AUC
  std::vector<SortedScores> sorted;
  for (int c = patients.columns() == 1 ? 1 : 0; c < patients.class_count(); ++c) {
    sorted.emplace_back(against_rest(patients, c, within_site, name));
  }
  const PatientDraws draws(patients.labels, options.seed);
  std::vector<double> aucs;
  std::vector<int32_t> counts;
  for (int d = 0; d < options.draws; ++d) {
    draws.counts(d, counts);
    double sum = 0;
    for (const SortedScores& one : sorted) sum += one.auc(counts);
    if (!std::isnan(sum)) aucs.push_back(sum / static_cast<double>(sorted.size()));
  }
  if (aucs.empty()) throw Error(concat_text(name, ": no resample has an AUC in every class"));
  return aucs;
}

Interval macro_bootstrap_interval(const Gathered& patients, bool within_site,
                                  const std::string& name, const BootstrapOptions& options) {
  return percentile_interval(macro_bootstrap_aucs(patients, within_site, name, options));
}

std::vector<RocPoint> roc_band(const Scores& scores, const BootstrapOptions& options, int grid) {
  GG_CHECK(options.draws >= 1 && grid >= 1, "roc_band: draws and grid must be at least 1; got ",
           options.draws, " and ", grid);
  auc_influence(scores);  // refuses what has no AUC
  const SortedScores sorted(scores);
  std::vector<double> rates;
  sorted.roc(std::vector<int32_t>(scores.positive.size(), 1), grid, rates);
  std::vector<RocPoint> points(grid + 1);
  for (int g = 0; g <= grid; ++g) {
    points[g].false_positive_rate = static_cast<double>(g) / grid;
    points[g].true_positive_rate = rates[g];
  }
  const PatientDraws draws(classes_of(scores), options.seed);
  std::vector<std::vector<double>> drawn(grid + 1);
  std::vector<int32_t> counts;
  for (int d = 0; d < options.draws; ++d) {
    draws.counts(d, counts);
    if (!sorted.roc(counts, grid, rates)) continue;
    for (int g = 0; g <= grid; ++g) drawn[g].push_back(rates[g]);
  }
  for (int g = 0; g <= grid && !drawn[g].empty(); ++g) {
    const Interval band = percentile_interval(drawn[g]);
    points[g].low = band.low;
    points[g].high = band.high;
  }
  return points;
}

}  // namespace gliograd::study
