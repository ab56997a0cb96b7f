#include "data/splits.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "tests/data/toy_set.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

/// 56, 24 and 30 patients as in COCCluster, classes mixed along the ids.
std::vector<int32_t> coc_labels() {
  std::vector<int32_t> left = {56, 24, 30}, labels;
  for (int p = 0; p < 110; ++p) {
    int32_t c = p % 3;
    while (left[c] == 0) c = (c + 1) % 3;
    --left[c];
    labels.push_back(c);
  }
  return labels;
}

/// [class][fold] counts.
std::map<int32_t, std::vector<int>> counts(const std::vector<int32_t>& labels,
                                           const std::vector<int32_t>& fold_of, int folds) {
  std::map<int32_t, std::vector<int>> table;
  for (size_t p = 0; p < labels.size(); ++p) {
    if (labels[p] < 0) continue;
    table[labels[p]].resize(folds);
    ++table[labels[p]].at(fold_of[p]);
  }
  return table;
}

}  // namespace

TEST_CASE("splits: every class and every fold is as even as it can be, in each repeat") {
  const auto seed = static_cast<uint32_t>(fresh_seed());
  INFO("seed ", seed);
  const Dataset set = toy_set(std::vector<int>(110, 1));
  std::vector<int32_t> labels = coc_labels();
  labels[7] = labels[50] = -1;
  const Split split = make_split(set, labels, {.folds = 10, .repeats = 3, .seed = seed});
  REQUIRE(split.fold_of.size() == 3);
  CHECK(split.folds == 10);
  CHECK(split.note.empty());
  for (const auto& fold_of : split.fold_of) {
    CHECK(fold_of[7] == -1);
    CHECK(fold_of[50] == -1);
    std::vector<int> sizes(10);
    for (const auto& [label, per_fold] : counts(labels, fold_of, 10)) {
      const auto [least, most] = std::minmax_element(per_fold.begin(), per_fold.end());
      CHECK(*most - *least <= 1);
      for (int f = 0; f < 10; ++f) sizes[f] += per_fold[f];
    }
    const auto [least, most] = std::minmax_element(sizes.begin(), sizes.end());
    CHECK(*most - *least <= 1);  // dealing goes on where the last class stopped
  }
  CHECK(split.fold_of[0] != split.fold_of[1]);
  CHECK(split.fold_of[1] != split.fold_of[2]);
}

TEST_CASE("splits: a pure function of patients, labels and seed; the folds of seed 1 stay") {
  const Dataset set = toy_set(std::vector<int>(12, 2));
  const std::vector<int32_t> labels = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0};
  const Split a = make_split(set, labels, {.folds = 4, .seed = 1});
  CHECK(a.fold_of == make_split(set, labels, {.folds = 4, .seed = 1}).fold_of);
  CHECK(a.fold_of != make_split(set, labels, {.folds = 4, .seed = 2}).fold_of);
  // Written down once: a change here changes every published fold.
  const std::vector<int32_t> kept = {0, 3, 2, 2, 2, 0, 3, 1, 1, 3, 0, 1};
  CHECK(a.fold_of[0] == kept);
}

TEST_CASE("splits: the order in which patients come does not matter") {
  const std::vector<std::string> ids = {"d", "a", "c", "b", "f", "e"};
  const std::vector<int32_t> labels = {0, 1, 1, 0, 1, 0};
  const std::vector<std::string> sorted = {"a", "b", "c", "d", "e", "f"};
  const std::vector<int32_t> sorted_labels = {1, 0, 1, 0, 0, 1};
  const auto mixed = stratified_folds(ids, labels, 3, {.seed = 5});
  const auto straight = stratified_folds(sorted, sorted_labels, 3, {.seed = 5});
  for (size_t i = 0; i < ids.size(); ++i) {
    CHECK(mixed[i] == straight[std::find(sorted.begin(), sorted.end(), ids[i]) - sorted.begin()]);
  }
}

TEST_CASE("splits: k shrinks to the smallest class and says so") {
  const Dataset set = toy_set(std::vector<int>(9, 1));
  const Split split = make_split(set, {0, 0, 0, 0, 0, 0, 1, 1, 1}, {.folds = 10});
  CHECK(split.folds == 3);
  CHECK(split.note == "3 folds instead of 10: the smallest class has 3 patients");
  CHECK(contains(error_of([&] {
                   make_split(set, {0, 0, 0, 0, 0, 0, 0, 0, 1}, {});
                 }),
                 "toy: a class has 1 patient; cross-validation needs two in each"));
}

TEST_CASE("splits: sites in alphabetical order, one fold each") {
  Dataset set = toy_set(std::vector<int>(9, 1));
  const std::vector<int32_t> labels = {0, 1, 0, 1, 0, 1, 0, 1, -1};
  const Split split = make_split(set, labels, {.kind = SplitKind::site, .repeats = 2});
  CHECK(split.fold_names == std::vector<std::string>{"A", "B", "C"});
  CHECK(split.fold_of[0] == std::vector<int32_t>{0, 1, 2, 0, 1, 2, 0, 1, -1});
  CHECK(split.fold_of[1] == split.fold_of[0]);
  CHECK(test_patients(split, 0, 2) == std::vector<int32_t>{2, 5});
  CHECK(training_patients(split, 0, 2) == std::vector<int32_t>{0, 1, 3, 4, 6, 7});
  set.patients[3].site.clear();
  CHECK(contains(error_of([&] { make_split(set, labels, {.kind = SplitKind::site}); }),
                 "patient P003 has no site"));
  set = toy_set(std::vector<int>(4, 1));  // class 1 only at site B
  CHECK(contains(error_of([&] {
                   make_split(set, {0, 1, 0, 0}, {.kind = SplitKind::site});
                 }),
                 "all patients of class 1 are in fold B"));
}

TEST_CASE("splits: leave one patient out gives each labeled patient a fold of its name") {
  const Dataset set = toy_set(std::vector<int>(5, 1));
  const Split split = make_split(set, {0, -1, 1, 0, 1}, {.kind = SplitKind::patient});
  CHECK(split.folds == 4);
  CHECK(split.fold_names == std::vector<std::string>{"P000", "P002", "P003", "P004"});
  CHECK(split.fold_of[0] == std::vector<int32_t>{0, -1, 1, 2, 3});
}

TEST_CASE("splits: inner folds divide the training patients only and differ from fold to fold") {
  const Dataset set = toy_set(std::vector<int>(110, 1));
  const std::vector<int32_t> labels = coc_labels();
  const Split split = make_split(set, labels, {.folds = 10, .seed = 3});
  std::set<std::vector<int32_t>> seen;
  for (int fold = 0; fold < 10; ++fold) {
    const auto training = training_patients(split, 0, fold);
    const auto inner = inner_folds(set, training, labels, 5, 3, 0, fold);
    REQUIRE(inner.size() == training.size());
    std::vector<int32_t> own;
    for (const int32_t p : training) own.push_back(labels[p]);
    for (const auto& [label, per_fold] : counts(own, inner, 5)) {
      const auto [least, most] = std::minmax_element(per_fold.begin(), per_fold.end());
      CHECK(*most - *least <= 1);
    }
    // What is in the test fold has no say: its labels may be anything.
    std::vector<int32_t> other = labels;
    for (const int32_t p : test_patients(split, 0, fold)) other[p] = (other[p] + 1) % 3;
    CHECK(inner == inner_folds(set, training, other, 5, 3, 0, fold));
    seen.insert(inner);
  }
  CHECK(seen.size() == 10);
  CHECK(contains(error_of([&] {
                   inner_folds(set, {0, 1, 2, 3}, {0, 0, 0, 1}, 5, 1, 0, 0);
                 }),
                 "a class has 1 training patient"));
}

TEST_CASE("splits: nonsense is refused with the number that came") {
  const Dataset set = toy_set({1, 1, 1, 1});
  const std::vector<int32_t> labels = {0, 0, 1, 1};
  CHECK(error_of([&] { make_split(set, labels, {.folds = 1}); }) ==
        "folds must be at least 2; got 1");
  CHECK(error_of([&] { make_split(set, labels, {.repeats = 0}); }) ==
        "repeats must be at least 1; got 0");
  CHECK(contains(error_of([&] { make_split(set, {0, 1}, {}); }), "2 labels for 4 patients"));
  CHECK(contains(error_of([] { split_kind("random"); }), "stratified, site, patient"));
  CHECK(split_kind("site") == SplitKind::site);
}
