// Small statistics around the AUC: Holm's correction, the permutation p, spreads over seeds and
// splits, AUC by fold and by site.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/study/auc.hpp"

namespace gliograd::study {

/// Holm 1979 (Scand J Statist 6:65): p values corrected for their number, in the given order. An
/// absent p stays absent and counts in the number. Errors: Error for a p outside [0, 1] or NaN.
std::vector<std::optional<double>> holm(const std::vector<std::optional<double>>& p);

/// p = (b + 1) / (N + 1): b of the N values under shuffled labels are at least the observed one
/// (Phipson & Smyth 2010, Stat Appl Genet Mol Biol 9:39). Errors: Error when N = 0 or a value is
/// NaN.
double permutation_p(double observed, const std::vector<double>& shuffled);

/// Of AUCs of several seeds or splits.
struct Spread {
  int count = 0;
  double mean = 0;
  std::optional<double> deviation;  // divisor count - 1; none for one value
  double low = 0;                   // smallest
  double high = 0;                  // largest
};
/// Errors: Error when empty or NaN is among them.
Spread spread_of(const std::vector<double>& values);

/// AUC of a part of the patients; none where it has too few of a class.
struct PartAuc {
  int repeat = 0;    // of a fold
  int fold = 0;      // of a fold
  std::string site;  // of a site
  int n = 0;
  int positives = 0;
  std::optional<double> auc;
};
/// By repeat and fold, ascending; an AUC where the fold has both classes.
std::vector<PartAuc> fold_aucs(const Gathered& patients, int positive);
/// By site in alphabetical order, mean over repeats; an AUC where the site has at least
/// `least` patients of each class.
std::vector<PartAuc> site_aucs(const Gathered& patients, int positive, int least = 3);

}  // namespace gliograd::study
