#include "data/phantom.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "data/readers/phantom_files.hpp"
#include "data/readers/prepare_lgg.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

/// Probability that a member of class 2 has the greater value.
double auc(const LabelColumn& labels, const std::string& name, const std::vector<double>& values) {
  double wins = 0, pairs = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t j = 0; j < values.size(); ++j) {
      if (labels.classes[labels.values[i]] != name || labels.classes[labels.values[j]] == name) {
        continue;
      }
      pairs += 1;
      wins += values[i] > values[j] ? 1 : values[i] == values[j] ? 0.5 : 0;
    }
  }
  return wins / pairs;
}

const CovariateColumn& shape_of(const Dataset& set, const std::string& name) {
  return *std::find_if(set.shape.begin(), set.shape.end(),
                       [&](const CovariateColumn& c) { return c.name == name; });
}

/// Mean of one sequence inside the masks, by patient.
std::vector<double> tumor_means(const Dataset& set, int64_t channel) {
  std::vector<double> sum(set.patients.size()), count(set.patients.size());
  for (int64_t n = 0; n < set.slices_count; ++n) {
    for (int64_t i = 0; i < set.height * set.width; ++i) {
      if (set.mask(n)[i] == 0) continue;
      sum[set.slices[n].patient] += set.image(n)[i * 3 + channel];
      count[set.slices[n].patient] += 1;
    }
  }
  for (size_t p = 0; p < sum.size(); ++p) sum[p] /= count[p];
  return sum;
}

bool equal_tables(const Dataset& a, const Dataset& b) {
  if (a.labels.size() != b.labels.size() || a.covariates.size() != b.covariates.size())
    return false;
  for (size_t i = 0; i < a.labels.size(); ++i) {
    if (a.labels[i].name != b.labels[i].name || a.labels[i].classes != b.labels[i].classes ||
        a.labels[i].values != b.labels[i].values) {
      return false;
    }
  }
  for (size_t i = 0; i < a.covariates.size(); ++i) {
    if (a.covariates[i].name != b.covariates[i].name) return false;
    for (size_t p = 0; p < a.patients.size(); ++p) {
      const double x = a.covariates[i].values[p], y = b.covariates[i].values[p];
      if (!(x == y || (std::isnan(x) && std::isnan(y)))) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("phantom: what is written and read back is the set made in memory") {
  const auto seed = static_cast<uint32_t>(fresh_seed());
  INFO("seed ", seed);
  const PhantomOptions options{.patients = 14, .size = 40, .slices = 5, .seed = seed};
  const TempDir folder;
  const std::string root = folder / "cohort";
  const PhantomFiles files = write_phantom(root, options, 2);
  CHECK(files.patients == 14);
  CHECK(!std::filesystem::exists(root + ".part"));
  for (const int64_t window : {int64_t{32}, int64_t{0}}) {
    const Dataset made = make_phantom(options, window, 2);
    LggOptions reading;
    reading.crop.crop = window > 0 ? Crop::window : Crop::none;
    reading.crop.size = window;
    const Prepared read = prepare_lgg(root, reading);
    CHECK(read.notes.empty());
    const Dataset& set = read.set;
    CHECK(set.slices_count == files.tumor_slices);
    REQUIRE(set.patients.size() == made.patients.size());
    CHECK(set.channels == made.channels);
    CHECK(set.images == made.images);
    CHECK(set.masks == made.masks);
    CHECK(equal_tables(set, made));
    for (size_t p = 0; p < set.patients.size(); ++p) {
      const Patient &a = set.patients[p], &b = made.patients[p];
      CHECK(a.id == b.id);
      CHECK(a.site == b.site);
      CHECK(a.identity == b.identity);
      CHECK(a.present == b.present);
      CHECK(a.fingerprint == b.fingerprint);
      for (int c = 0; c < 3; ++c) {
        CHECK(a.affine[c].a == b.affine[c].a);
        CHECK(a.affine[c].b == b.affine[c].b);
      }
    }
    REQUIRE(set.slices.size() == made.slices.size());
    for (size_t n = 0; n < set.slices.size(); ++n) {
      const Slice &a = set.slices[n], &b = made.slices[n];
      CHECK(a.patient == b.patient);
      CHECK(a.number == b.number);
      CHECK(a.area == b.area);
      CHECK(a.box == b.box);
      CHECK(a.origin == b.origin);
    }
    for (size_t f = 0; f < set.shape.size(); ++f)
      CHECK(set.shape[f].values == made.shape[f].values);
  }
}

TEST_CASE("phantom: a pure function of its options, whatever the threads; written down once") {
  const PhantomOptions options{.patients = 6, .size = 32, .slices = 3};
  const Dataset one = make_phantom(options, 24, 1), three = make_phantom(options, 24, 3);
  CHECK(one.images == three.images);
  CHECK(one.masks == three.masks);
  CHECK(one.digest == three.digest);
  CHECK(one.digest == "05d4d87855f3ddbad123e7dc8a3e4c29");  // the same on every machine
  PhantomOptions other = options;
  other.seed = 2;
  const Dataset second = make_phantom(other, 24);
  CHECK(second.digest != one.digest);
  std::set<std::string> ids;
  for (const Dataset* set : {&one, &second}) {
    for (const Patient& patient : set->patients) ids.insert(patient.identity);
  }
  CHECK(ids.size() == 12);  // one cohort may pretrain for the other
}

TEST_CASE("phantom: half of class 2, gaps, slices without tumor, missing sequences, blanks") {
  const PhantomOptions options{.patients = 60, .size = 32};
  const std::vector<PhantomPerson> people = phantom_people(options);
  REQUIRE(people.size() == 60);
  int positives = 0, neither = 0, no_post = 0, blank_labels = 0, blank_ages = 0, tumor = 0;
  for (const PhantomPerson& person : people) {
    positives += person.coc == 2;
    neither += person.present[0] == 0 && person.present[2] == 0;
    no_post += person.present[0] == 1 && person.present[2] == 0;
    blank_labels += person.rnaseq == 0;
    blank_ages += std::isnan(person.age_years);
    tumor += person.last_tumor - person.first_tumor + 1;
    CHECK(person.numbers.front() >= 1);
    CHECK(person.numbers.front() < person.first_tumor - 1);
    CHECK(person.numbers.back() > person.last_tumor + 1);
  }
  CHECK(positives == 30);
  CHECK(neither == 3);
  CHECK(no_post == 5);
  CHECK(blank_labels > 0);
  CHECK(blank_ages > 0);
  CHECK(std::abs(tumor - 480) < 60);
  for (size_t p = 0; p < 60; p += 7) {
    for (const PhantomSlice& slice : phantom_slices(options, people, p)) {
      const bool inside =
          slice.number >= people[p].first_tumor && slice.number <= people[p].last_tumor;
      const auto area = std::count(slice.mask.begin(), slice.mask.end(), 1);
      CHECK((area > 0) == inside);
    }
  }
}

TEST_CASE(
    "phantom: the signal is in the margin, not in brightness or size, and can be turned off") {
  const Dataset set = make_phantom({.patients = 120, .size = 64, .slices = 5}, 0, 2);
  const LabelColumn& coc = label_column(set, "COCCluster");
  CHECK(auc(coc, "2", shape_of(set, "inverse_bevr").values) > 0.9);
  CHECK(std::fabs(auc(coc, "2", shape_of(set, "volume").values) - 0.5) < 0.15);  // 3 std. errors
  for (int64_t c = 0; c < 3; ++c) {
    CHECK(std::fabs(auc(coc, "2", tumor_means(set, c)) - 0.5) < 0.2);
  }
  const LabelColumn& coin = label_column(set, "miRNACluster");
  CHECK(std::fabs(auc(coin, "2", shape_of(set, "inverse_bevr").values) - 0.5) < 0.16);
  const Dataset none = make_phantom({.patients = 120, .size = 64, .slices = 5, .signal = 0}, 0, 2);
  const LabelColumn& unseen = label_column(none, "COCCluster");
  CHECK(std::fabs(auc(unseen, "2", shape_of(none, "inverse_bevr").values) - 0.5) < 0.16);
}

TEST_CASE("phantom: options out of range, and a folder that holds something, are refused") {
  CHECK(contains(error_of([] { phantom_people({.patients = 5}); }),
                 "patients must be 6 to 9999; got 5"));
  CHECK(contains(error_of([] { phantom_people({.size = 8}); }), "size must be 32 to 512"));
  CHECK(contains(error_of([] { phantom_people({.slices = 2}); }), "slices must be 3 to 40"));
  CHECK(contains(error_of([] { phantom_people({.signal = std::nan("")}); }), "signal must be"));
  CHECK(contains(error_of([] { make_phantom({}, -1); }), "window must be 0 to 1024"));
  const TempDir folder;
  write_file(folder / "file", "x");
  const PhantomOptions small{.patients = 6, .size = 32, .slices = 3};
  CHECK(contains(error_of([&] { write_phantom(folder.path().string(), small); }), "is not empty"));
  CHECK(contains(error_of([&] { write_phantom(folder / "file", small); }), "is a file"));
  std::filesystem::create_directory(folder / "empty");
  write_phantom(folder / "empty/", small);
  CHECK(std::filesystem::exists(folder / "empty/data.csv"));
}
