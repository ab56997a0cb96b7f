#include "data/leak_guard.hpp"

#include <numeric>

#include "tests/data/toy_set.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

/// Three patients with public names and fingerprints at right angles.
Dataset named_set() {
  Dataset set = toy_set({2, 2, 2});
  const char* ids[3] = {"TCGA_CS_4941", "TCGA_DU_5849", "TCGA_HT_7470"};
  for (int p = 0; p < 3; ++p) {
    set.patients[p].id = ids[p];
    set.patients[p].identity = canonical_identity(ids[p]);
    set.patients[p].fingerprint[p] = 1;
  }
  return set;
}

SeenPatients seen_one(const std::string& id, const std::string& identity, int direction = 9) {
  SeenPatients seen{{id}, {identity}, {Fingerprint{}}, false};
  seen.fingerprint[0][direction] = 1;
  return seen;
}

const std::vector<int32_t> kAll = {0, 1, 2};

}  // namespace

TEST_CASE("leak guard: canonical names") {
  CHECK(canonical_identity("TCGA_CS_4941_19960909") == "TCGA-CS-4941");
  CHECK(canonical_identity("TCGA-CS-4941") == "TCGA-CS-4941");
  CHECK(canonical_identity("tcga-du-a5tp-01A") == "TCGA-DU-A5TP");
  for (const char* other : {"", "TCGA", "TCGA_CS_49", "TCGA_CS_49411", "TCGA.CS.4941",
                            "Brats18_TCIA02_607_1", "XCGA_CS_4941", "TCGA_C__4941"}) {
    CHECK(canonical_identity(other) == "unknown");
  }
}

TEST_CASE("leak guard: a test patient that was seen is an error, under its id or another date") {
  const Dataset set = named_set();
  CHECK(check_leak(set, kAll, seen_one("TCGA-06-0001", "TCGA-06-0001")).empty());
  for (const char* id : {"TCGA_DU_5849", "TCGA_DU_5849_19950405", "tcga-du-5849"}) {
    const std::string error =
        error_of([&] { check_leak(set, kAll, seen_one(id, canonical_identity(id))); });
    CHECK(contains(error, "toy: leak: test patient TCGA_DU_5849 (TCGA-DU-5849)"));
    CHECK(contains(error, id));
    CHECK(check_leak(set, {0, 2}, seen_one(id, canonical_identity(id))).empty());
  }
  // The id says nothing, the identity does.
  CHECK(contains(error_of([&] { check_leak(set, kAll, seen_one("case 7", "TCGA-CS-4941")); }),
                 "TCGA_CS_4941"));
  // No assumption helps against a name.
  CHECK(contains(error_of([&] {
                   check_leak(set, kAll, seen_one("TCGA_CS_4941", "unknown"), {},
                              {.assume_disjoint = true});
                 }),
                 "leak: test patient TCGA_CS_4941"));
}

TEST_CASE("leak guard: BraTS's table of names makes a renamed patient an error") {
  const Dataset set = named_set();
  const NameMapping mapping(
      "name_mapping.csv",
      {"Grade", "BraTS_2017_subject_ID", "TCGA_TCIA_subject_ID", "BraTS_2019_subject_ID"},
      {{"LGG", "Brats17_TCIA_101_1", "TCGA-DU-5849", "BraTS19_TCIA_101_1"},
       {"LGG", "Brats17_2013_1_1", "NA", "BraTS19_2013_1_1"},
       {"LGG", "Brats17_TCIA_102_1", "TCGA-06-0001", "NA"}});
  const auto leak = [&](const char* id) {
    check_leak(set, kAll, seen_one(id, "unknown"), mapping);
  };
  CHECK(contains(error_of([&] { leak("BraTS19_TCIA_101_1"); }), "test patient TCGA_DU_5849"));
  CHECK(contains(error_of([&] { leak("brats17-tcia-101-1"); }), "test patient TCGA_DU_5849"));
  // Known to be somebody else: no error and no assumption. "LGG" and "NA" join nobody.
  CHECK(check_leak(set, kAll, seen_one("Brats17_TCIA_102_1", "unknown"), mapping).empty());
  // In the table, but still without a public identity.
  CHECK(contains(error_of([&] { leak("BraTS19_2013_1_1"); }), "no public identity"));
  CHECK(mapping.identity("BraTS19_TCIA_101_1") == "TCGA-DU-5849");
  CHECK(mapping.key("Brats17_2013_1_1") == mapping.key("BraTS19_2013_1_1"));
  CHECK(mapping.key("Brats17_2013_1_1") != mapping.key("Brats17_TCIA_102_1"));
}

TEST_CASE("leak guard: rows that share a name are one patient; titles do not matter if none says") {
  const NameMapping chain("m.csv", {"old", "new"}, {{"a", "b"}, {"c", "d"}, {"b", "c"}, {"x", ""}});
  CHECK(chain.key("A") == chain.key("d"));
  CHECK(chain.key("x") != chain.key("a"));
  CHECK(contains(error_of([] { NameMapping("m.csv", {"ID"}, {}); }), "m.csv: a table of names"));
  CHECK(contains(error_of([] {
                   NameMapping("m.csv", {"a", "b"}, {{"1", "2", "3"}});
                 }),
                 "m.csv: row 1 has 3 fields"));
}

TEST_CASE("leak guard: who has no identity needs an assumption, and the tables say so") {
  const Dataset set = named_set();
  const SeenPatients seen = seen_one("BRATS2013_pat0006", "unknown");
  CHECK(contains(error_of([&] { check_leak(set, kAll, seen); }), "the first: BRATS2013_pat0006"));
  const auto notes = check_leak(set, kAll, seen, {}, {.assume_disjoint = true});
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "assumed: 1 seen patients without a public identity"));
  CHECK(check_leak(set, kAll, seen_one("airplanes/image_0001.jpg", kNobody)).empty());
  SeenPatients imported;
  imported.provenance_unknown = true;
  CHECK(contains(error_of([&] { check_leak(set, kAll, imported); }), "--seen"));
  CHECK(check_leak(set, kAll, imported, {}, {.assume_disjoint = true}).size() == 1);
}

TEST_CASE("leak guard: who looks alike under another name is warned of") {
  const Dataset set = named_set();
  SeenPatients seen = seen_one("TCGA-06-0001", "TCGA-06-0001", 2);
  seen.fingerprint[0][40] = 0.2F;  // cosine 0.98
  const auto warnings = check_leak(set, kAll, seen);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] ==
        "test patient TCGA_HT_7470 (TCGA-HT-7470) looks like TCGA-06-0001, which the weights have "
        "seen (similarity 0.98)");
  seen.fingerprint[0][40] = 0.5F;  // 0.89
  CHECK(check_leak(set, kAll, seen).empty());
}

TEST_CASE("leak guard: what was seen goes through every transfer, once") {
  const Dataset set = named_set();
  SeenPatients first = seen_in(set, {0, 2});
  CHECK(first.id == std::vector<std::string>{"TCGA_CS_4941", "TCGA_HT_7470"});
  SeenPatients second = seen_one("p", kNobody);
  second.provenance_unknown = true;
  merge_seen(second, first);
  merge_seen(second, first);
  CHECK(second.id == std::vector<std::string>{"p", "TCGA_CS_4941", "TCGA_HT_7470"});
  CHECK(second.provenance_unknown);
  second.provenance_unknown = false;
  CHECK(contains(error_of([&] { check_leak(set, {2}, second); }), "TCGA_HT_7470"));
}

TEST_CASE("leak guard: one person twice in a cohort") {
  Dataset set = named_set();
  CHECK(check_cohort(set).empty());
  set.patients[1].fingerprint = set.patients[0].fingerprint;
  CHECK(check_cohort(set) ==
        std::vector<std::string>{
            "patients TCGA_CS_4941 and TCGA_DU_5849 look alike (similarity 1.00)"});
  set.patients[1].id = "TCGA_CS_4941_19970101";
  set.patients[1].identity = canonical_identity(set.patients[1].id);
  CHECK(contains(error_of([&] { check_cohort(set); }),
                 "patients TCGA_CS_4941 and TCGA_CS_4941_19970101 are the same person"));
}

TEST_CASE("leak guard: a fold whose draws or statistics hold a test patient ends with its name") {
  const Dataset set = named_set();
  check_fold_slices(set, {1}, {0, 1, 4, 5}, "the draws of epoch 1");
  const std::string error = error_of([&] {
    check_fold_slices(set, {1}, {0, 1, 4, 3, 5}, "the draws of epoch 1");
  });
  CHECK(contains(error, "leak: slice 2 of test patient TCGA_DU_5849 is in the draws of epoch 1"));
  check_fold_patients(set, {1}, {0, 2}, "the mean age");
  CHECK(contains(error_of([&] {
                   check_fold_patients(set, {1}, {0, 1, 2}, "the mean age");
                 }),
                 "leak: test patient TCGA_DU_5849 is in the mean age"));
}
