// From pretrain to crossval --init: whole runs, the leak guard, checkpoints that do not fit.
#include <algorithm>
#include <csignal>
#include <cstring>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "models/weights/checkpoint_file.hpp"
#include "tests/support/cohort.hpp"
#include "tests/support/run_folders.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

// Patients TCGA-AA-0000 to -0015, each with a slice without tumor, pretrained on once.
struct Pretrained {
  TempDir folder;
  std::string data = write_set(identified_cohort(16, 0, 11, 1), folder / "gbm.h5");
  std::string out = folder / "gbm";
  std::string model = out + "/model.h5";
  CommandResult result = test::gliograd(pretrain(data, out));
  // Others: TCGA-AA-0100 on.
  std::string lgg = write_set(identified_cohort(24, 100, 12), folder / "lgg.h5");
};
const Pretrained& pretrained() {
  static const Pretrained run;
  REQUIRE_MESSAGE(run.result.code == 0, run.result.err);
  return run;
}

models::Checkpoint model_of(const std::string& path) {
  return models::read_checkpoint(path, cpu_stream());
}
std::string changed_model(const TempDir& folder, const std::string& name,
                          const std::function<void(models::Checkpoint&)>& change) {
  models::Checkpoint checkpoint = model_of(pretrained().model);
  change(checkpoint);
  models::write_checkpoint(folder / name, checkpoint);
  return folder / name;
}
const Tensor& tensor_named(const models::Checkpoint& checkpoint, const std::string& name) {
  for (const models::NamedTensor& one : checkpoint.parameters) {
    if (one.name == name) return one.value;
  }
  FAIL("no parameter ", name);
  return checkpoint.parameters[0].value;
}
std::string refused_init(const TempDir& folder, const std::string& data, const std::string& init,
                         std::vector<std::string> more = {}) {
  more.insert(more.end(), {"--init", init});
  std::string line = refusal_of(crossval(data, folder / "run", more));
  CHECK(!std::filesystem::exists(folder / "run"));
  return line;
}

}  // namespace

TEST_CASE("pretrain command: a whole run keeps its best epoch, its history and its score") {
  const Pretrained& run = pretrained();
  CHECK(contains(run.result.out, "task tumor: held-out AUC"));
  CHECK(contains(run.result.out, run.model));
  CHECK(files_below(run.out) == std::vector<std::string>{"config.toml", "fold-0-0/state.h5",
                                                         "history.csv", "lock", "metrics.json",
                                                         "model.h5"});
  const auto json = nlohmann::json::parse(read_file(run.out + "/metrics.json"));
  CHECK(json.at("score") == "AUC");
  CHECK(json.at("training_patients") == 13);
  CHECK(json.at("held_out_patients") == 3);
  CHECK(json.at("held_out_slices") == 9);
  const std::vector<std::string> history = lines_of(read_file(run.out + "/history.csv"));
  REQUIRE(history.size() == 4);
  CHECK(history[0] == "epoch,steps,lr,train_loss,inner_loss,inner_auc");
  const int best = json.at("best_epoch");
  double highest = -1;
  int expected = 0;
  for (int epoch = 1; epoch <= 3; ++epoch) {
    const double score = std::stod(history[epoch].substr(history[epoch].rfind(',') + 1));
    if (score > highest) expected = epoch;
    highest = std::max(highest, score);
  }
  CHECK(best == expected);
  const models::Checkpoint model = model_of(run.model);
  CHECK(model.epoch == best);
  CHECK(model.classes == std::vector<std::string>{"no tumor", "tumor"});
  CHECK(model.input.channels == std::vector<std::string>{"flair", "post"});
  CHECK(model.seen.ids.size() == 16);  // the held-out ones chose the epoch
  const CommandResult again = test::gliograd(pretrain(run.data, run.out, {"--json"}));
  CHECK(again.code == 0);
  CHECK(nlohmann::json::parse(again.out).at("best_epoch") == best);
}

TEST_CASE("pretrain command: categories are scored by accuracy over held-out images") {
  const TempDir folder;
  data::Dataset set = tiny_cohort({.patients = 24, .slices = 1});
  set.labels[0].name = "category";
  set.labels[0].classes = {"cat", "dog", "tree"};
  for (int p = 0; p < 24; ++p) set.labels[0].values[p] = p % 3;
  const std::string data = write_set(set, folder / "photos.h5");
  const CommandResult result =
      test::gliograd(pretrain(data, folder / "run", {"--task", "category"}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(contains(result.out, "held-out accuracy"));
  CHECK(model_of(folder / "run/model.h5").classes ==
        std::vector<std::string>{"cat", "dog", "tree"});
}

TEST_CASE("pretrain command: kill -9 at random moments changes no byte") {
  const TempDir folder;
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  const std::string data = write_set(identified_cohort(16, 0, 11, 1), folder / "gbm.h5");
  const std::vector<std::string> more = {"--epochs", "8",    "--ema",     "0.9",
                                         "--preset", "full", "--threads", "1"};
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(test::gliograd(pretrain(data, folder / "whole", more)).code == 0);
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - start;
  for (int kill = 0; kill < 4; ++kill) {
    Process process(pretrain(data, folder / "killed", more));
    std::uniform_real_distribution<double> moment(0, whole.count());
    std::this_thread::sleep_for(std::chrono::duration<double>(moment(random)));
    process.signal(SIGKILL);
    process.wait();
  }
  REQUIRE(test::gliograd(pretrain(data, folder / "killed", more)).code == 0);
  CHECK(difference(results_of(folder / "whole"), results_of(folder / "killed")) == "");
  CHECK(results_of(folder / "whole").count("model.h5") == 1);
}

TEST_CASE("transfer: crossval starts from a pretrained model of other patients") {
  const TempDir folder;
  const Pretrained& from = pretrained();
  const CommandResult result =
      test::gliograd(crossval(from.lgg, folder / "first", {"--init", from.model}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(!contains(result.err, "warning"));
  CHECK(contains(read_file(folder / "first/config.toml"), "init-digest"));
  // Its folds have seen their own training patients and all of the pretraining's.
  const models::Checkpoint model = model_of(folder / "first/fold-0-0/model.h5");
  CHECK(model.seen.ids.size() == 16 + 16);
  CHECK(std::count(model.seen.ids.begin(), model.seen.ids.end(), "TCGA-AA-0007") == 1);
  // So a test on the pretraining's patients is a leak at second hand.
  CHECK(contains(refused_init(folder, write_set(identified_cohort(12, 0, 11), folder / "gbm.h5"),
                              folder / "first/fold-0-0/model.h5"),
                 "leak: test patient TCGA-AA-0000"));
}

TEST_CASE("transfer: a checkpoint exchanged under its name is other data") {
  const TempDir folder;
  const Pretrained& from = pretrained();
  const std::string init = changed_model(folder, "init.h5", [](models::Checkpoint&) {});
  REQUIRE(test::gliograd(crossval(from.lgg, folder / "run", {"--init", init})).code == 0);
  changed_model(folder, "init.h5", [](models::Checkpoint& one) { one.epoch += 1; });
  CHECK(contains(refusal_of(crossval(from.lgg, folder / "run", {"--init", init})),
                 "the checkpoint has changed"));
}

TEST_CASE("leak guard: a seen patient ends the run, by id, by identity and by mapping") {
  const TempDir folder;
  const Pretrained& from = pretrained();
  const auto line_for = [&](const std::string& id, const std::string& identity,
                            const std::vector<std::string>& more = {}) {
    data::Dataset set = identified_cohort(24, 100, 12);
    set.patients.back().id = id;
    set.patients.back().identity = identity;
    return refused_init(folder, write_set(set, folder / "set.h5"), from.model, more);
  };
  const std::string by_id = line_for("tcga_aa_0003", "unknown");
  CHECK(contains(by_id, "leak: test patient tcga_aa_0003"));
  CHECK(contains(by_id, "TCGA-AA-0003"));
  CHECK(contains(line_for("Z-1", "TCGA-AA-0003"), "leak: test patient Z-1 (TCGA-AA-0003)"));
  write_file(folder / "map.csv", "BraTS_ID,TCGA_ID\nZ-1,TCGA-AA-0003\nZ-2,NA\n");
  CHECK(contains(line_for("Z-1", "unknown", {"--mapping", folder / "map.csv"}),
                 "leak: test patient Z-1"));
  // Assuming disjointness does not help against knowing better.
  CHECK(contains(line_for("Z-1", "TCGA-AA-0003", {"--assume-disjoint"}), "leak: test patient"));
}

TEST_CASE("leak guard: a patient without the label asked for is not tested, so no leak") {
  const TempDir folder;
  data::Dataset set = identified_cohort(24, 100, 12);
  set.patients.back().identity = "TCGA-AA-0003";
  set.labels[0].values.back() = -1;
  const CommandResult result =
      test::gliograd(crossval(write_set(set, folder / "set.h5"), folder / "run",
                              {"--init", pretrained().model, "--epochs", "1"}));
  INFO(result.err);
  CHECK(result.code == 0);
}

TEST_CASE("leak guard: one that looks alike is a warning with both names") {
  const TempDir folder;
  const Pretrained& from = pretrained();
  data::Dataset set = identified_cohort(24, 100, 12);
  set.patients[5].fingerprint = model_of(from.model).seen.fingerprints[3];
  const CommandResult result = test::gliograd(crossval(
      write_set(set, folder / "set.h5"), folder / "run", {"--init", from.model, "--epochs", "1"}));
  CHECK(result.code == 0);
  CHECK(contains(result.err, "warning: test patient TCGA-AA-0105 looks like TCGA-AA-0003"));
}

TEST_CASE("leak guard: unknown patients need --assume-disjoint, and the result says so") {
  const TempDir folder;
  const Pretrained& from = pretrained();
  const std::string unknown = changed_model(folder, "unknown.h5", [](models::Checkpoint& one) {
    for (std::string& id : one.seen.ids) id = "glioma " + id.substr(8);
    for (std::string& identity : one.seen.identities) identity = "unknown";
  });
  CHECK(contains(refused_init(folder, from.lgg, unknown), "--assume-disjoint"));
  const std::string nobody = changed_model(folder, "nobody.h5", [](models::Checkpoint& one) {
    one.seen = {};
    one.seen.provenance_unknown = true;
  });
  CHECK(contains(refused_init(folder, from.lgg, nobody), "--assume-disjoint"));
  for (const std::string& init : {unknown, nobody}) {
    const std::string out = folder / (init == unknown ? "a" : "b");
    const CommandResult result = test::gliograd(
        crossval(from.lgg, out, {"--init", init, "--assume-disjoint", "--epochs", "1"}));
    INFO(result.err);
    CHECK(result.code == 0);
    CHECK(contains(result.err, "warning: assumed: "));
    CHECK(contains(read_file(out + "/config.toml"), "assume-disjoint = true"));
    CHECK(contains(result.out, "assumed disjoint"));
    CHECK(nlohmann::json::parse(read_file(out + "/metrics.json")).at("assumed_disjoint") == true);
  }
}

TEST_CASE("transfer: damaged and foreign checkpoints are refused by name") {
  const TempDir folder;
  const Pretrained& from = pretrained();
  const std::string whole = read_file(from.model), path = folder / "init.h5";
  const auto line_for = [&](const std::string& bytes) {
    write_file(path, bytes);
    std::string line = refused_init(folder, from.lgg, path);
    INFO(line);
    CHECK(contains(line, path));
    return line;
  };
  line_for("");
  line_for("weights");
  line_for(whole.substr(0, whole.size() / 2));
  line_for(whole.substr(0, whole.size() - 1));
  std::string zeros = whole;
  std::fill(zeros.begin() + 200, zeros.begin() + 1200, '\0');
  line_for(zeros);
  CHECK(contains(line_for(read_file(from.lgg)), "is no checkpoint"));
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    // The bits of one weight, wherever the file keeps them.
    const models::Checkpoint model = model_of(from.model);
    const Tensor& weight = tensor_named(model, "stage1.conv1.weight");
    const std::string bits(reinterpret_cast<const char*>(weight.data<float>() + 5), 16);
    std::string poisoned = whole;
    const size_t at = poisoned.find(bits);
    REQUIRE(at != std::string::npos);
    std::memcpy(poisoned.data() + at, &bad, sizeof bad);
    CHECK(contains(line_for(poisoned), "stage1.conv1.weight"));
  }
}

TEST_CASE("transfer: weights of another network are refused with both shapes or names") {
  const TempDir folder;
  const Pretrained& from = pretrained();
  const std::string wide = refused_init(folder, from.lgg, from.model, {"--width", "4"});
  CHECK(contains(wide, from.model));
  CHECK(contains(wide, "must be"));
  CHECK(contains(refused_init(folder, from.lgg, from.model, {"--depth", "2"}), "is missing"));
  CHECK(contains(refused_init(folder, from.lgg, from.model, {"--model", "subtype-large"}),
                 "holds weights of"));
  CHECK(contains(refused_init(folder, from.lgg, from.model, {"--freeze", "stage9"}),
                 "has no stage 'stage9'; its stages are"));
  CHECK(contains(refused_init(folder, from.lgg, from.model, {"--adapt", "shrink"}), "--adapt"));
}

TEST_CASE("transfer: each rule for the first layer's channels makes another run") {
  const TempDir folder;
  const Pretrained& from = pretrained();
  std::vector<std::map<std::string, std::string>> results;
  for (const char* rule : {"average", "repeat", "copy"}) {
    const CommandResult result = test::gliograd(crossval(
        from.lgg, folder / rule, {"--init", from.model, "--adapt", rule, "--epochs", "1"}));
    INFO(result.err);
    REQUIRE(result.code == 0);
    results.push_back(results_of(folder / rule));
  }
  CHECK(difference(results[0], results[1]) != "");
  CHECK(difference(results[0], results[2]) != "");
  CHECK(difference(results[1], results[2]) != "");
}

TEST_CASE("transfer: a learning rate of 0 and freezing leave what was transferred as it was") {
  const TempDir folder;
  const Pretrained& from = pretrained();
  const models::Checkpoint before = model_of(from.model);
  const struct {
    const char* name;
    std::vector<std::string> options;
    std::vector<std::string> kept, learned;  // prefixes of parameters
  } cases[] = {
      {"rate", {"--transferred-lr", "0"}, {"stage1.", "stage2.", "stage4."}, {}},
      {"freeze", {"--freeze", "stage2"}, {"stage1.", "stage2."}, {"stage3.", "stage4."}},
      {"all", {}, {}, {"stage1.", "stage4."}},
  };
  for (const auto& one : cases) {
    std::vector<std::string> more = one.options;
    // The same channels as the pretraining had, so that the first layer is taken as it is.
    more.insert(more.end(), {"--init", from.model, "--mask", "none", "--epochs", "2"});
    const CommandResult result = test::gliograd(crossval(from.lgg, folder / one.name, more));
    INFO(result.err);
    REQUIRE(result.code == 0);
    const models::Checkpoint after = model_of(folder / one.name + "/fold-0-0/model.h5");
    const auto same = [&](const std::string& prefix) {
      bool equal = true;
      int compared = 0;
      for (const models::NamedTensor& parameter : after.parameters) {
        if (parameter.name.rfind(prefix, 0) != 0) continue;
        ++compared;
        equal = equal && values(parameter.value) == values(tensor_named(before, parameter.name));
      }
      CHECK(compared > 0);
      return equal;
    };
    for (const std::string& prefix : one.kept) CHECK_MESSAGE(same(prefix), one.name, prefix);
    for (const std::string& prefix : one.learned) CHECK_MESSAGE(!same(prefix), one.name, prefix);
    CHECK(!same("head."));
  }
}
