#include "apps/study/auc.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

constexpr double kNormal975 = 1.959963984540054;  // 97.5 % point of the standard normal

Interval around(double center, double variance, double low, double high) {
  const double half = kNormal975 * std::sqrt(variance);
  return {std::clamp(center - half, low, high), std::clamp(center + half, low, high)};
}

// Adds to won[i] the pairs that patient i takes part in and that the positive one wins (ties half),
// among the patients `order` of one stratum, sorted by score.
void add_pairs_won(const std::vector<double>& score, const std::vector<uint8_t>& positive,
                   const std::vector<int32_t>& order, std::vector<double>& won) {
  double positives = 0;
  for (const int32_t i : order) positives += positive[i];
  double below_negative = 0, below_positive = 0;
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    double tied_positive = 0;
    for (; end < order.size() && score[order[end]] == score[order[begin]]; ++end) {
      tied_positive += positive[order[end]];
    }
    const double tied_negative = static_cast<double>(end - begin) - tied_positive;
    for (size_t k = begin; k < end; ++k) {
      const int32_t i = order[k];
      won[i] += positive[i] ? below_negative + 0.5 * tied_negative
                            : positives - below_positive - 0.5 * tied_positive;
    }
    below_negative += tied_negative;
    below_positive += tied_positive;
    begin = end;
  }
}

void check_scores(const Scores& scores) {
  const size_t n = scores.positive.size();
  GG_CHECK(!scores.repeats.empty(), scores.name, ": no scores");
  GG_CHECK(scores.stratum.empty() || scores.stratum.size() == n, scores.name, ": ",
           scores.stratum.size(), " strata for ", n, " patients");
  for (const std::vector<double>& repeat : scores.repeats) {
    GG_CHECK(repeat.size() == n, scores.name, ": ", repeat.size(), " scores for ", n, " patients");
    for (const double score : repeat) {
      GG_CHECK(std::isfinite(score), scores.name, ": a score is not finite");
    }
  }
}

PairedTest paired_test(const Influence& a, const Influence& b,
                       const std::vector<int32_t>& classes) {
  std::vector<double> difference(a.influence.size());
  for (size_t i = 0; i < difference.size(); ++i) {
    difference[i] = a.influence[i] - b.influence[i];
  }
  PairedTest test;
  test.difference = a.auc - b.auc;
  const std::optional<double> variance = influence_variance(difference, classes);
  if (!variance) return test;
  // Influences are sums of halves over the number of pairs: what is below 1e-12 is rounding.
  const double error = *variance < 1e-24 ? 0 : std::sqrt(*variance);
  test.standard_error = error;
  test.interval = around(test.difference, error * error, -1, 1);
  if (std::abs(test.difference) < 1e-12) {
    test.p = 1;
  } else if (error > 0) {
    test.p = std::erfc(std::abs(test.difference) / error / std::sqrt(2.0));
  }
  return test;
}

}  // namespace

Gathered gather(const std::vector<ScoredPatient>& rows, const std::string& name) {
  check_predictions(rows, name);
  std::map<std::string, size_t> patient_of;
  std::map<int, size_t> repeat_of;
  for (const ScoredPatient& row : rows) {
    patient_of.emplace(row.id, 0);
    repeat_of.emplace(row.repeat, 0);
  }
  Gathered out;
  for (auto& [id, index] : patient_of) {
    index = out.ids.size();
    out.ids.push_back(id);
  }
  for (auto& [number, index] : repeat_of) {
    index = out.repeats.size();
    out.repeats.push_back(number);
  }
  const size_t n = out.ids.size(), r = out.repeats.size(), c = rows.front().scores.size();
  out.sites.resize(n);
  out.labels.resize(n);
  out.folds.assign(r, std::vector<int32_t>(n, -1));
  out.scores.assign(r, std::vector<std::vector<double>>(c, std::vector<double>(n)));
  for (const ScoredPatient& row : rows) {
    const size_t p = patient_of[row.id], repeat = repeat_of[row.repeat];
    out.sites[p] = row.site;
    out.labels[p] = row.label;
    out.folds[repeat][p] = row.fold;
    for (size_t k = 0; k < c; ++k) out.scores[repeat][k][p] = as_written(row.scores[k]);
  }
  for (size_t repeat = 0; repeat < r; ++repeat) {
    for (size_t p = 0; p < n; ++p) {
      if (out.folds[repeat][p] < 0) {
        throw Error(concat_text(name, ": patient ", out.ids[p], " has no score in repeat ",
                                out.repeats[repeat]));
      }
    }
  }
  return out;
}

Scores against_rest(const Gathered& patients, int positive, bool within_site,
                    const std::string& name) {
  GG_CHECK(positive >= 0 && positive < patients.class_count() &&
               (patients.columns() > 1 || positive == 1),
           name, ": no score of class ", positive);
  Scores scores;
  scores.name = name;
  for (const int32_t label : patients.labels) scores.positive.push_back(label == positive);
  for (const auto& repeat : patients.scores) {
    scores.repeats.push_back(repeat[patients.columns() == 1 ? 0 : positive]);
  }
  if (within_site) {
    std::map<std::string, int32_t> index;
    for (const std::string& site : patients.sites) index.emplace(site, 0);
    int32_t next = 0;
    for (auto& [site, i] : index) i = next++;
    for (const std::string& site : patients.sites) scores.stratum.push_back(index[site]);
  }
  return scores;
}

// With W_i the pairs that i wins (or, for a negative, loses to positives), N all pairs and P_i the
// pairs i takes part in, AUC = sum over positives W_i / N, and the influence is (W_i - AUC P_i) /
// N. One stratum: W_i / P_i is DeLong's placement value V10 or V01, and the influence of a positive
// is (V10 - AUC) / m.
Influence auc_influence(const Scores& scores) {
  check_scores(scores);
  const size_t n = scores.positive.size();
  const std::vector<int32_t> stratum =
      scores.stratum.empty() ? std::vector<int32_t>(n, 0) : scores.stratum;
  int32_t strata = 0;
  for (const int32_t s : stratum) strata = std::max(strata, s + 1);
  std::vector<double> positives(strata, 0), negatives(strata, 0);
  for (size_t i = 0; i < n; ++i) (scores.positive[i] ? positives : negatives)[stratum[i]] += 1;
  double pairs = 0, all_positives = 0;
  for (int32_t s = 0; s < strata; ++s) {
    pairs += positives[s] * negatives[s];
    all_positives += positives[s];
  }
  if (all_positives == 0 || all_positives == static_cast<double>(n)) {
    throw Error(concat_text(scores.name, ": an AUC needs patients of both classes; ", all_positives,
                            " of ", n, " are of the class"));
  }
  if (pairs == 0) throw Error(concat_text(scores.name, ": no site has patients of both classes"));

  std::vector<double> won(n, 0);
  Influence out;
  double before = 0;
  for (const std::vector<double>& score : scores.repeats) {
    std::vector<std::vector<int32_t>> members(strata);
    for (size_t i = 0; i < n; ++i) members[stratum[i]].push_back(static_cast<int32_t>(i));
    for (std::vector<int32_t>& order : members) {
      std::sort(order.begin(), order.end(),
                [&](int32_t a, int32_t b) { return score[a] < score[b]; });
      add_pairs_won(score, scores.positive, order, won);
    }
    double total = 0;
    for (size_t i = 0; i < n; ++i) total += scores.positive[i] ? won[i] : 0;
    out.repeat_auc.push_back((total - before) / pairs);  // sums of halves: exact
    before = total;
  }
  const auto repeats = static_cast<double>(scores.repeats.size());
  out.auc = before / (pairs * repeats);
  for (size_t i = 0; i < n; ++i) {
    const double own = scores.positive[i] ? negatives[stratum[i]] : positives[stratum[i]];
    out.influence.push_back((won[i] / repeats - out.auc * own) / pairs);
  }
  return out;
}

double auc(const Scores& scores) { return auc_influence(scores).auc; }

std::optional<double> influence_variance(const std::vector<double>& influence,
                                         const std::vector<int32_t>& classes) {
  std::map<int32_t, std::vector<double>> members;
  for (size_t i = 0; i < influence.size(); ++i) members[classes[i]].push_back(influence[i]);
  double variance = 0;
  for (const auto& [label, values] : members) {
    const auto n = static_cast<double>(values.size());
    if (n < 2) return std::nullopt;
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double squares = 0;
    for (const double v : values) squares += (v - mean) * (v - mean);
    variance += n / (n - 1) * squares;
  }
  return variance;
}

std::optional<Interval> delong_interval(const Scores& scores) {
  const Influence it = auc_influence(scores);
  const std::vector<int32_t> classes(scores.positive.begin(), scores.positive.end());
  const std::optional<double> variance = influence_variance(it.influence, classes);
  if (!variance) return std::nullopt;
  return around(it.auc, *variance, 0, 1);
}

PairedTest paired_delong(const Scores& a, const Scores& b) {
  GG_CHECK(a.positive == b.positive && a.stratum == b.stratum,
           "a paired test needs the same patients, classes and sites in both arms: ", a.name,
           " and ", b.name);
  return paired_test(auc_influence(a), auc_influence(b), {a.positive.begin(), a.positive.end()});
}

Influence macro_influence(const Gathered& patients, bool within_site, const std::string& name) {
  std::vector<int> asked;
  if (patients.columns() == 1) asked = {1};
  for (int c = 0; patients.columns() > 1 && c < patients.columns(); ++c) asked.push_back(c);
  const double share = 1.0 / static_cast<double>(asked.size());
  Influence out;
  out.influence.assign(patients.ids.size(), 0);
  out.repeat_auc.assign(patients.repeats.size(), 0);
  for (const int c : asked) {
    const Influence it =
        auc_influence(against_rest(patients, c, within_site, concat_text(name, ", class ", c)));
    out.auc += share * it.auc;
    for (size_t i = 0; i < it.influence.size(); ++i) out.influence[i] += share * it.influence[i];
    for (size_t r = 0; r < it.repeat_auc.size(); ++r) out.repeat_auc[r] += share * it.repeat_auc[r];
  }
  return out;
}

MacroAuc macro_auc(const Gathered& patients, bool within_site, const std::string& name) {
  const Influence it = macro_influence(patients, within_site, name);
  MacroAuc out;
  out.auc = it.auc;
  const std::optional<double> variance = influence_variance(it.influence, patients.labels);
  if (variance) out.interval = around(out.auc, *variance, 0, 1);
  return out;
}

PairedTest paired_macro(const Gathered& a, const Gathered& b, bool within_site,
                        const std::string& name_a, const std::string& name_b) {
  GG_CHECK(
      a.ids == b.ids && a.labels == b.labels && a.sites == b.sites && a.columns() == b.columns(),
      "a paired test needs the same patients, classes and sites in both arms: ", name_a, " and ",
      name_b);
  return paired_test(macro_influence(a, within_site, name_a),
                     macro_influence(b, within_site, name_b), a.labels);
}

}  // namespace gliograd::study
