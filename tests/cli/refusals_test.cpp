// Bad options and bad sets: exit 2, one line, nothing left behind.
#include <functional>

#include "tests/support/cohort.hpp"
#include "tests/support/run_folders.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

struct Refused {
  std::vector<std::string> options;
  const char* text;  // part of the line
};

void check_refused(const TempDir& folder, const std::string& command, const std::string& data,
                   const Refused& one) {
  const std::string out = folder / "run";
  const std::string line = refusal_of(command == "crossval" ? crossval(data, out, one.options)
                                                            : pretrain(data, out, one.options));
  std::string options;
  for (const std::string& option : one.options) options += option + " ";
  INFO(options, "-> ", line);
  CHECK(contains(line, one.text));
  CHECK(!std::filesystem::exists(out));
  CHECK(!std::filesystem::exists(folder / "looks.csv"));
  std::filesystem::remove_all(out);  // so that one failure is one
  std::filesystem::remove(folder / "looks.csv");
}

}  // namespace

TEST_CASE("crossval command: bad options are refused in one line, before anything is written") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const Refused cases[] = {
      {{"--target", "Grade=2"}, "Subtype"},
      {{"--target", "Subtype=7"}, "no class \"7\"; it has: 1, 2"},
      {{"--target", ""}, "--target"},
      {{"--target", "Subtype="}, "no class \"\""},
      {{"--target", "=2"}, "Subtype"},
      {{"--folds", "0"}, "--folds must be between 2 and 511; got 0"},
      {{"--folds", "1"}, "--folds"},
      {{"--folds", "-3"}, "--folds"},
      {{"--folds", "1000"}, "--folds"},
      {{"--folds", "99999999999999999999"}, "--folds"},
      {{"--folds", "three"}, "--folds"},
      {{"--folds", "3.5"}, "--folds"},
      {{"--ledger", folder / "nowhere/looks.csv"}, "nowhere/looks.csv: cannot be written"},
      {{"--repeats", "0"}, "--repeats"},
      {{"--repeats", "128"}, "--repeats"},
      {{"--permute", "-1"}, "--permute"},
      {{"--permute", "8192"}, "--permute"},
      {{"--split", "random"}, "stratified, site, patient"},
      {{"--select", "best"}, "last, holdout or inner"},
      {{"--epochs", "0"}, "--epochs"},
      {{"--epochs", "-1"}, "--epochs"},
      {{"--epochs", "1000000000"}, "--epochs"},
      {{"--batch", "1"}, "--batch"},
      {{"--batch", "0"}, "--batch"},
      {{"--batch", "1000000"}, "--batch"},
      {{"--learning-rate", "0"}, "--learning-rate"},
      {{"--learning-rate", "nan"}, "--learning-rate"},
      {{"--learning-rate", "-0.1"}, "--learning-rate"},
      {{"--learning-rate", "inf"}, "--learning-rate"},
      {{"--learning-rate", "fast"}, "--learning-rate"},
      {{"--dropout", "1"}, "--dropout"},
      {{"--weight-decay", "-1"}, "--weight-decay"},
      {{"--momentum", "1"}, "--momentum"},
      {{"--warmup-epochs", "4"}, "--warmup-epochs"},
      {{"--ema", "1"}, "--ema"},
      {{"--label-smoothing", "1"}, "--label-smoothing"},
      {{"--clip-norm", "nan"}, "--clip-norm"},
      {{"--optimizer", "lion"}, "sgd,adam,adamw"},
      {{"--schedule", "linear"}, "constant,cosine,step"},
      {{"--dtype", "f16"}, "needs a GPU"},
      {{"--dtype", "f8"}, "f32,tf32,bf16,f16,f64"},
      {{"--model", "resnet"}, "resnet"},
      {{"--width", "0"}, "--width"},
      {{"--depth", "0"}, "--depth"},
      {{"--depth", "1000"}, "--depth"},
      {{"--preset", "heavy"}, "off,light,full"},
      {{"--augment", "rotation"}, "NAME=VALUE"},
      {{"--augment", "spin=3"}, "no setting \"spin\""},
      {{"--augment", "rotation-degrees=nan"}, "rotation-degrees"},
      {{"--augment", "rotation-degrees=1e9"}, "rotation-degrees"},
      {{"--input", "small"}, "default,paper"},
      {{"--sequences", "t2"}, "flair"},
      {{"--sequences", "flair,flair"}, "\"flair\" is asked for twice"},
      {{"--sequences", "none", "--mask", "none"}, "the input is empty"},
      {{"--mask", "both"}, "none,multiply,channel,raw-zero"},
      {{"--window", "0"}, "--window"},
      {{"--window", "-16"}, "--window"},
      {{"--window", "32"}, "window must be 1 to 16"},
      {{"--tta", "3"}, "--tta must be 1, 2, 4 or 8"},
      {{"--fuse", "height"}, "height"},
      {{"--adapt", "zero"}, "average,repeat,copy"},
      {{"--freeze", "stage1"}, "--freeze needs --init"},
      {{"--freeze-batch-norm", "true"}, "--freeze-batch-norm needs --init"},
      {{"--transferred-lr", "0.1"}, "--transferred-lr needs --init"},
      {{"--seed", "-1"}, "--seed"},
      {{"--seed", "4294967296"}, "--seed"},
      {{"--seed", "1.5"}, "--seed"},
      {{"--threads", "0"}, "--threads"},
      {{"--threads", "-2"}, "--threads"},
      {{"--threads", "many"}, "--threads"},
      {{"--threads", "100000"}, "--threads"},
      {{"--concurrent-folds", "-1"}, "--concurrent-folds"},
      {{"--intra-threads", "0"}, "--intra-threads"},
      {{"--device", "cuda"}, "--device cuda"},
      {{"--device", "tpu"}, "--device"},
      {{"--mapping", folder / "none.csv"}, "none.csv"},
      {{"--init", folder / "none.h5"}, "none.h5"},
      {{"--config", folder / "none.toml"}, "none.toml"},
      {{"--no-such-option"}, "--no-such-option"},
      {{"stray"}, "stray"},
      {{"--data", folder / "none.h5"}, "none.h5"},
      {{"--data", folder.path().string()}, "is a folder"},
  };
  for (const Refused& one : cases) check_refused(folder, "crossval", data, one);
  CHECK(contains(refusal_of({"crossval"}), "(gliograd crossval --help)"));
  CHECK(contains(refusal_of({"crossval", "--data", data, "--out", folder / "run"}), "--target"));
}

TEST_CASE("crossval command: sets that cannot be cross-validated are refused by name") {
  const TempDir folder;
  const auto refused = [&](const std::function<void(data::Dataset&)>& change,
                           const std::vector<std::string>& options, const char* text) {
    data::Dataset set = tiny_cohort();
    change(set);
    const std::string data = write_set(set, folder / "set.h5");
    const std::string line = refusal_of(crossval(data, folder / "run", options));
    INFO(line);
    CHECK(contains(line, data));
    CHECK(contains(line, text));
    CHECK(!std::filesystem::exists(folder / "run"));
  };
  refused([](data::Dataset& set) { set.labels[0].values.assign(24, 0); }, {}, "one class only");
  refused([](data::Dataset& set) { set.labels[0].values.assign(24, -1); }, {}, "one class only");
  refused(
      [](data::Dataset& set) {
        for (int p = 2; p < 24; ++p) set.labels[0].values[p] = 0;
        set.labels[0].values[0] = 1;
      },
      {}, "class \"2\" has 2 patients");
  refused([](data::Dataset& set) { set.masks.clear(); }, {}, "no masks");
  refused([](data::Dataset& set) { set.masks.clear(); }, {"--mask", "multiply"}, "no masks");
  // All of a class at one site: it cannot be learned when that site is tested.
  refused(
      [](data::Dataset& set) {
        for (int p = 0; p < 24; ++p) set.labels[0].values[p] = set.patients[p].site == "A";
      },
      {"--split", "site"}, "are in fold A");
  refused(
      [](data::Dataset& set) {
        for (data::Patient& patient : set.patients) patient.site = "A";
      },
      {"--split", "site"}, "site");
  // Two entries of one person would stand on both sides of a split.
  refused(
      [](data::Dataset& set) {
        set.patients[3].identity = set.patients[17].identity = "TCGA-CS-4941";
      },
      {}, "patients P003 and P017 are the same person");
}

TEST_CASE("crossval command: patients that look alike are a warning") {
  const TempDir folder;
  data::Dataset set = tiny_cohort();
  set.patients[17].fingerprint = set.patients[3].fingerprint;
  const std::string data = write_set(set, folder / "set.h5");
  const CommandResult result = test::gliograd(crossval(data, folder / "run", {"--epochs", "1"}));
  CHECK(result.code == 0);
  CHECK(contains(result.err, "warning: patients P003 and P017 look alike (similarity 1.00)"));
}

TEST_CASE("crossval command: a mapping makes two names one person") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  write_file(folder / "map.csv", "subject_ID,TCGA_ID\nP003,TCGA-CS-4941\nP017,TCGA-CS-4941\n");
  const std::string line =
      refusal_of(crossval(data, folder / "run", {"--mapping", folder / "map.csv"}));
  CHECK(contains(line, "P003 and P017 are the same person"));
  write_file(folder / "map.csv", "a\nP003\n");
  CHECK(contains(refusal_of(crossval(data, folder / "run", {"--mapping", folder / "map.csv"})),
                 "map.csv"));
}

TEST_CASE("crossval command: a damaged ledger is refused before the run, not at its end") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  write_file(folder / "looks.csv", "my shopping list\n");
  CHECK(contains(refusal_of(crossval(data, folder / "run")), "looks.csv: is no ledger"));
  CHECK(!std::filesystem::exists(folder / "run"));
  CHECK(read_file(folder / "looks.csv") == "my shopping list\n");
}

TEST_CASE("crossval command: a --config that does not fit is refused by file and line") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const std::string config = folder / "my.toml";
  const auto line_for = [&](const std::string& text) {
    write_file(config, text);
    return refusal_of(crossval(data, folder / "run", {"--config", config}));
  };
  CHECK(contains(line_for("epochs = \n"), config + ": line 1"));
  CHECK(contains(line_for("epocks = 3\n"), "epocks"));
  CHECK(contains(line_for("depth = \"deep\"\n"), "--depth"));
  CHECK(contains(line_for("width = 1979-05-27\n"), "width"));
  CHECK(contains(line_for("[augment]\nspin = 3\n"), "spin"));
  CHECK(!std::filesystem::exists(folder / "run"));
}

TEST_CASE("pretrain command: what cannot be learned is refused, before anything is written") {
  const TempDir folder;
  const std::string both = write_set(identified_cohort(12, 0, 3, 1), folder / "both.h5");
  const Refused cases[] = {
      {{"--task", "tumor", "--mask", "channel"}, "the mask holds the answer"},
      {{"--task", "tumor", "--mask", "multiply"}, "the mask holds the answer"},
      {{"--task", "tumor", "--input", "paper"}, "--input paper"},
      {{"--task", "guess"}, "--task must be tumor or category"},
      {{"--task", "category", "--column", "animal"}, "animal"},
      {{"--holdout", "0"}, "--holdout"},
      {{"--holdout", "1"}, "--holdout"},
      {{"--holdout", "nan"}, "--holdout"},
      {{"--holdout", "0.001"}, "holding out"},
      {{"--holdout-from", "Subtype=9"}, "--holdout-from Subtype=9"},
      {{"--holdout-from", "Grade=2"}, "Grade"},
      {{"--fuse", "age"}, "--fuse is for crossval"},
      {{"--init", both}, "--init is for crossval"},
      {{"--epochs", "0"}, "--epochs"},
      {{"--window", "500"}, "window"},
      {{"--model", "resnet"}, "resnet"},
      {{"--device", "cuda"}, "--device cuda"},
      {{"--data", folder / "none.h5"}, "none.h5"},
  };
  for (const Refused& one : cases) check_refused(folder, "pretrain", both, one);
  // Sets: all slices with tumor; no masks; one category.
  const std::string all = write_set(identified_cohort(12, 0, 3, 0), folder / "all.h5");
  check_refused(folder, "pretrain", all, {{}, "slices with and without tumor; 36 of 36"});
  data::Dataset set = identified_cohort(12, 0, 3, 1);
  set.masks.clear();
  check_refused(folder, "pretrain", write_set(set, folder / "bare.h5"),
                {{}, "the task tumor needs masks"});
  set = identified_cohort(12, 0, 3, 1);
  set.labels[0].classes = {"1"};
  set.labels[0].values.assign(12, 0);
  check_refused(folder, "pretrain", write_set(set, folder / "one.h5"),
                {{"--task", "category", "--column", "Subtype"}, "one class only"});
  // One patient held out, all of whose slices show tumor: no AUC.
  set = identified_cohort(2, 0, 3, 1);
  for (int64_t n = 0; n < set.slices_count; ++n) set.slices[n].area = n < 3 ? 9 : 0;
  check_refused(folder, "pretrain", write_set(set, folder / "two.h5"),
                {{"--holdout", "0.5"}, "slice is of class"});
}
