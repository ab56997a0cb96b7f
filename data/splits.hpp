// Splits: which patients are tested together. A pure function of (patients, labels, seed): no
// thread, clock, or order of reading enters. Shuffles are Philox's (purpose split), so the same
// seed gives the same folds on every machine.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "engine/device/stream.hpp"

namespace gliograd::data {

enum class SplitKind { stratified, site, patient };
const char* name_of(SplitKind kind);
/// Errors: Error for an unknown name, listing the known ones.
SplitKind split_kind(const std::string& name);

struct SplitOptions {
  SplitKind kind = SplitKind::stratified;
  int folds = 10;   // of stratified; at least 2
  int repeats = 1;  // other shuffles; the other kinds repeat the same folds
  uint32_t seed = 1;
};

struct Split {
  SplitKind kind = SplitKind::stratified;
  int folds = 0;
  int repeats = 0;
  std::vector<std::string> fold_names;        // "0", "1", ...; the site; the patient's id
  std::vector<std::vector<int32_t>> fold_of;  // [repeat][patient], -1 where left out
  std::string note;                           // what the user should know (k shrank), or empty
};

/// labels: class of each patient of the set, -1 where left out.
/// stratified  k shrinks to the size of the smallest class, and `note` says so.
/// site        one fold for each site that has a labeled patient, in alphabetical order.
/// patient     one fold for each labeled patient, in order of ids.
/// Errors: Error when folds < 2 or repeats < 1 (or beyond RandomKey's limits), when a class has
/// fewer than two patients, when a labeled patient has no site (kind site) or there is one site
/// only, or when a fold would leave its training patients without one of the classes.
Split make_split(const Dataset& set, const std::vector<int32_t>& labels,
                 const SplitOptions& options);

/// The folds k shrinks to: min(k, size of the smallest class that occurs).
int feasible_folds(const std::vector<int32_t>& labels, int k);

/// Deals entries into k folds, class by class: sorted by id, shuffled, dealt round-robin, going on
/// where the last class stopped, so folds differ by at most one in size and in each class.
/// Returns the fold of each entry, -1 where its label is. `stage` separates shuffles of one key.
/// Errors: Error when k < 2 or the lists differ in length.
std::vector<int32_t> stratified_folds(const std::vector<std::string>& ids,
                                      const std::vector<int32_t>& labels, int k,
                                      const RandomKey& key, uint32_t stage = 0);

/// The inner folds of one outer fold's training patients: the inner fold, below
/// feasible_folds(k), of each entry of `training_patients`. Fold 0 of k = 5 is the holdout (20 %).
/// Test patients have no say in it. labels: of all patients of the set.
/// Errors: Error when a training patient has no label or a class has one training patient only.
std::vector<int32_t> inner_folds(const Dataset& set, const std::vector<int32_t>& training_patients,
                                 const std::vector<int32_t>& labels, int k, uint32_t seed,
                                 int repeat, int fold);

/// Patients of one fold, and the other labeled ones, both in order.
std::vector<int32_t> test_patients(const Split& split, int repeat, int fold);
std::vector<int32_t> training_patients(const Split& split, int repeat, int fold);

}  // namespace gliograd::data
