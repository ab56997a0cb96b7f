#include "data/splits.hpp"

#include <algorithm>
#include <map>
#include <numeric>

#include "data/random.hpp"
#include "engine/core/error.hpp"

namespace gliograd::data {
namespace {

constexpr uint32_t kOuterStage = 0, kInnerStage = 1;

/// Members of each class that occurs, in order of class, so in order of the classes' names.
std::map<int32_t, std::vector<int32_t>> by_class(const std::vector<int32_t>& labels) {
  std::map<int32_t, std::vector<int32_t>> members;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= 0) members[labels[i]].push_back(static_cast<int32_t>(i));
  }
  return members;
}

void split_stratified(const Dataset& set, const std::vector<int32_t>& labels,
                      const SplitOptions& options, Split& split) {
  split.folds = feasible_folds(labels, options.folds);
  GG_CHECK(split.folds >= 2, set.name, ": a class has ", split.folds,
           " patient; cross-validation needs two in each");
  if (split.folds < options.folds) {
    split.note = concat_text(split.folds, " folds instead of ", options.folds,
                             ": the smallest class has ", split.folds, " patients");
  }
  for (int f = 0; f < split.folds; ++f) split.fold_names.push_back(std::to_string(f));
  std::vector<std::string> ids;
  for (const Patient& patient : set.patients) ids.push_back(patient.id);
  for (int r = 0; r < options.repeats; ++r) {
    const RandomKey key{.seed = options.seed, .repeat = r};
    split.fold_of.push_back(stratified_folds(ids, labels, split.folds, key, kOuterStage));
  }
}

void split_by_site(const Dataset& set, const std::vector<int32_t>& labels, Split& split) {
  std::map<std::string, int32_t> fold_of_site;
  for (size_t p = 0; p < labels.size(); ++p) {
    if (labels[p] < 0) continue;
    const Patient& patient = set.patients[p];
    if (patient.site.empty()) {
      throw Error(concat_text(set.name, ": patient ", patient.id,
                              " has no site, so sites cannot be left out in turn"));
    }
    fold_of_site[patient.site] = 0;
  }
  if (fold_of_site.size() < 2) {
    throw Error(concat_text(set.name, ": leaving one site out needs two sites; there is ",
                            fold_of_site.empty() ? "none" : fold_of_site.begin()->first));
  }
  for (auto& [site, fold] : fold_of_site) {
    fold = static_cast<int32_t>(split.fold_names.size());
    split.fold_names.push_back(site);
  }
  std::vector<int32_t> fold_of(labels.size(), -1);
  for (size_t p = 0; p < labels.size(); ++p) {
    if (labels[p] >= 0) fold_of[p] = fold_of_site[set.patients[p].site];
  }
  split.folds = static_cast<int>(split.fold_names.size());
  split.fold_of.assign(split.repeats, fold_of);
}

void split_by_patient(const Dataset& set, const std::vector<int32_t>& labels, Split& split) {
  std::vector<int32_t> fold_of(labels.size(), -1);
  for (size_t p = 0; p < labels.size(); ++p) {
    if (labels[p] < 0) continue;
    fold_of[p] = static_cast<int32_t>(split.fold_names.size());
    split.fold_names.push_back(set.patients[p].id);
  }
  split.folds = static_cast<int>(split.fold_names.size());
  split.fold_of.assign(split.repeats, fold_of);
}

/// A class that sits wholly in one fold cannot be learned when that fold is tested.
void check_training_classes(const Dataset& set, const std::vector<int32_t>& labels,
                            const Split& split) {
  const auto classes = by_class(labels);
  for (const std::vector<int32_t>& fold_of : split.fold_of) {
    for (const auto& [label, members] : classes) {
      const int32_t fold = fold_of[members[0]];
      const bool elsewhere = std::any_of(members.begin(), members.end(),
                                         [&](int32_t p) { return fold_of[p] != fold; });
      if (!elsewhere) {
        throw Error(concat_text(set.name, ": all patients of class ", label, " are in fold ",
                                split.fold_names[fold],
                                ", so none is left to train on when it is tested"));
      }
    }
  }
}

}  // namespace

const char* name_of(SplitKind kind) {
  switch (kind) {
    case SplitKind::stratified: return "stratified";
    case SplitKind::site: return "site";
    case SplitKind::patient: return "patient";
  }
  return "?";
}

SplitKind split_kind(const std::string& name) {
  for (const SplitKind kind : {SplitKind::stratified, SplitKind::site, SplitKind::patient}) {
    if (name == name_of(kind)) return kind;
  }
  throw Error("unknown split \"" + name + "\"; there are: stratified, site, patient");
}

int feasible_folds(const std::vector<int32_t>& labels, int k) {
  for (const auto& [label, members] : by_class(labels)) {
    k = std::min(k, static_cast<int>(members.size()));
  }
  return k;
}

std::vector<int32_t> stratified_folds(const std::vector<std::string>& ids,
                                      const std::vector<int32_t>& labels, int k,
                                      const RandomKey& key, uint32_t stage) {
  GG_CHECK(k >= 2, "stratified_folds: at least two folds are needed; got ", k);
  GG_CHECK(ids.size() == labels.size(), "stratified_folds: ", ids.size(), " ids for ",
           labels.size(), " labels");
  std::vector<int32_t> fold_of(ids.size(), -1);
  int32_t next = 0;
  for (auto& [label, members] : by_class(labels)) {
    std::sort(members.begin(), members.end(),
              [&](int32_t a, int32_t b) { return ids[a] < ids[b]; });
    // Each class has words of its own, so a class more or less does not change the others' order.
    RandomSequence random(
        key,
        {.layer = static_cast<uint32_t>(label), .draw = stage, .purpose = kernels::Purpose::split});
    random.shuffle(members);
    for (const int32_t i : members) {
      fold_of[i] = next;
      next = (next + 1) % k;
    }
  }
  return fold_of;
}

Split make_split(const Dataset& set, const std::vector<int32_t>& labels,
                 const SplitOptions& options) {
  GG_CHECK(labels.size() == set.patients.size(), set.name, ": ", labels.size(), " labels for ",
           set.patients.size(), " patients");
  if (options.folds < 2) throw Error(concat_text("folds must be at least 2; got ", options.folds));
  if (options.repeats < 1) {
    throw Error(concat_text("repeats must be at least 1; got ", options.repeats));
  }
  GG_CHECK(!by_class(labels).empty(), set.name, ": no patient has a label");
  Split split;
  split.kind = options.kind;
  split.repeats = options.repeats;
  switch (options.kind) {
    case SplitKind::stratified: split_stratified(set, labels, options, split); break;
    case SplitKind::site: split_by_site(set, labels, split); break;
    case SplitKind::patient: split_by_patient(set, labels, split); break;
  }
  check_training_classes(set, labels, split);
  return split;
}

std::vector<int32_t> inner_folds(const Dataset& set, const std::vector<int32_t>& training_patients,
                                 const std::vector<int32_t>& labels, int k, uint32_t seed,
                                 int repeat, int fold) {
  std::vector<std::string> ids;
  std::vector<int32_t> own;
  for (const int32_t p : training_patients) {
    ids.push_back(set.patients.at(p).id);
    own.push_back(labels.at(p));
    GG_CHECK(own.back() >= 0, set.name, ": training patient ", ids.back(), " has no label");
  }
  const int feasible = feasible_folds(own, k);
  GG_CHECK(feasible >= 2, set.name, ": a class has ", feasible,
           " training patient; inner folds need two in each");
  return stratified_folds(ids, own, feasible, {.seed = seed, .repeat = repeat, .fold = fold},
                          kInnerStage);
}

std::vector<int32_t> test_patients(const Split& split, int repeat, int fold) {
  const std::vector<int32_t>& fold_of = split.fold_of.at(repeat);
  std::vector<int32_t> patients;
  for (size_t p = 0; p < fold_of.size(); ++p) {
    if (fold_of[p] == fold) patients.push_back(static_cast<int32_t>(p));
  }
  return patients;
}

std::vector<int32_t> training_patients(const Split& split, int repeat, int fold) {
  const std::vector<int32_t>& fold_of = split.fold_of.at(repeat);
  std::vector<int32_t> patients;
  for (size_t p = 0; p < fold_of.size(); ++p) {
    if (fold_of[p] >= 0 && fold_of[p] != fold) patients.push_back(static_cast<int32_t>(p));
  }
  return patients;
}

}  // namespace gliograd::data
