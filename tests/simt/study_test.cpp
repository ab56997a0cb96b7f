// The study on the emulated GPU: cross-validation and pretraining as the command line runs them,
// from a phantom to scores, against the CPU and against themselves by other ways.
#include <functional>
#include <sstream>

#include "apps/study/pretrain.hpp"
#include "engine/core/interrupt.hpp"
#include "engine/core/log.hpp"
#include "tests/simt/op_cases.hpp"
#include "tests/simt/small_study.hpp"
#include "tests/simt/vendor_plans.hpp"

using namespace gliograd;
using simt::cohort;
using simt::crossval;
using simt::expect_nothing;

namespace {

study::CrossvalSettings small_settings(const char* device) {
  study::CrossvalSettings settings = simt::small_settings(device);
  study::TrainSettings& train = settings.train;
  train.plans = "heuristic";  // timing is a test of its own
  train.window = 32;
  train.epochs = 2;
  train.dropout = 0.2;
  train.ema = 0.5;
  return settings;
}

// Keeps the states and models of folds; stops the run once, behind the first saved epoch, where
// asked to.
class Recorder final : public study::RunStore {
 public:
  bool stop = false;
  std::map<std::pair<int, int>, study::FoldState> states;
  std::map<std::pair<int, int>, models::Checkpoint> models;

  void begin(const data::Dataset&, const data::Split&) override {}
  std::optional<study::FoldResult> finished(int, int) override { return std::nullopt; }
  std::optional<study::FoldState> load_state(int repeat, int fold, Stream&) override {
    const std::lock_guard lock(mutex_);
    const auto found = states.find({repeat, fold});
    if (found == states.end()) return std::nullopt;
    return found->second;
  }
  void save_state(int repeat, int fold, const study::FoldState& state) override {
    const std::lock_guard lock(mutex_);
    states[{repeat, fold}] = state;
    if (!stop) return;
    stop = false;
    throw Interrupted();
  }
  void finish(const study::FoldResult& result, const models::Checkpoint& model) override {
    const std::lock_guard lock(mutex_);
    models[{result.repeat, result.fold}] = model;
  }
  std::map<int, double> permutations() override { return {}; }
  void add_permutation(int, double) override {}

 private:
  std::mutex mutex_;
};

std::string scores_of(const study::CrossvalSettings& settings,
                      const models::Checkpoint* init = nullptr) {
  study::MemoryRunStore store;
  return study::format_predictions(crossval(settings, store, init).predictions);
}

void use_device() { simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()}); }

}  // namespace

TEST_CASE("GPU study: cross-validation scores as on the CPU; ways that must not matter do not") {
  use_device();
  study::MemoryRunStore on_gpu, on_cpu;
  const study::CrossvalResult gpu = crossval(small_settings("cuda"), on_gpu);
  const study::CrossvalResult cpu = crossval(small_settings("cpu"), on_cpu);
  REQUIRE(gpu.predictions.size() == cpu.predictions.size());
  for (size_t i = 0; i < gpu.predictions.size(); ++i) {
    CHECK(gpu.predictions[i].id == cpu.predictions[i].id);
    CHECK(gpu.predictions[i].scores[0] ==
          doctest::Approx(cpu.predictions[i].scores[0]).epsilon(1e-3));
  }
  CHECK(gpu.peak_bytes > 100'000);
  const std::string scores = study::format_predictions(gpu.predictions);
  study::CrossvalSettings settings = small_settings("cuda");
  settings.concurrent_folds = 1;
  CHECK(scores_of(settings) == scores);
  settings.train.eager = true;
  CHECK(scores_of(settings) == scores);
  expect_nothing();
}

TEST_CASE(
    "GPU study: a run that was stopped ends as one that was not, in f16 with its loss scale") {
  use_device();
  study::CrossvalSettings settings = small_settings("cuda");
  settings.train.dtype = "f16";
  settings.train.epochs = 3;
  settings.concurrent_folds = 1;
  Recorder whole, stopped;
  const std::string scores = study::format_predictions(crossval(settings, whole).predictions);
  stopped.stop = true;
  CHECK_THROWS_AS(crossval(settings, stopped), Interrupted);
  REQUIRE(stopped.states.size() == 1);
  const study::FoldState& state = stopped.states.begin()->second;
  CHECK(state.epoch == 1);
  CHECK(state.step.loss_scale > 1);
  for (const auto& [name, tensor] : state.tensors) CHECK(tensor.device() == Device::cpu);
  CHECK(study::format_predictions(crossval(settings, stopped).predictions) == scores);
  const auto weights = [](const Recorder& store) {
    std::vector<double> all;
    for (const models::NamedTensor& one : store.models.at({0, 0}).parameters) {
      CHECK(one.value.device() == Device::cpu);
      const std::vector<double> values = to_values(one.value);
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  };
  CHECK(weights(stopped) == weights(whole));
  expect_nothing();
}

TEST_CASE("GPU study: TF32 trains too; layers that no plan serves are said once") {
  use_device();
  study::CrossvalSettings settings = small_settings("cuda");
  settings.train.epochs = 1;
  settings.train.window = 16;
  const std::string whole = scores_of(settings);
  settings.train.dtype = "tf32";
  CHECK(scores_of(settings) != whole);
  settings.train.width = 12;  // no whole 16 bytes of bf16
  settings.train.dtype = "bf16";
  std::vector<std::string> said;
  set_log_sink([&](LogLevel, const std::string& line) { said.push_back(line); });
  scores_of(settings);
  set_log_sink({});
  int notes = 0;
  for (const std::string& line : said) {
    if (line.find("slower kernels of any shape") == std::string::npos) continue;
    ++notes;
    CHECK(line.find("\n  conv forward, bf16 4x16x16x8 to 12, 3x3 / 1") != std::string::npos);
  }
  CHECK(notes == 1);
  expect_nothing();
}

TEST_CASE("GPU study: the fastest plan is taken by all folds, kept, and taken again") {
  use_device();
  study::CrossvalSettings settings = small_settings("cuda");
  settings.train.plans = "timed";
  settings.train.epochs = 1;
  settings.train.window = 16;
  std::string scores;  // of the last run
  const auto plans_of = [&](study::MemoryRunStore& store) {
    scores = study::format_predictions(crossval(settings, store).predictions);
    std::map<std::string, int> plans;
    std::istringstream in(store.load_plans());
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line)) {
      const size_t at = line.find(',') + 1;
      ++plans[line.substr(at, line.find(',', at) - at)];
    }
    return plans;
  };
  simt::set_plan_delays({4000, 0, 9000});
  study::MemoryRunStore timed;
  const std::map<std::string, int> chosen = plans_of(timed);
  const std::string scores_timed = scores;
  simt::set_plan_delays({});
  REQUIRE(chosen.size() == 1);
  CHECK(chosen.begin()->first == "engine 2: b");
  // 4 layers forward, 3 back to data, 4 to weights; forward again at the batch of evaluation.
  CHECK(chosen.begin()->second == 15);
  CHECK(timed.load_plans().find("\nconv forward f32 4x16x16x8 to 16x16x8 by 3x3 / 1 from -1:-1,") !=
        std::string::npos);

  // What is recorded is not timed again; what does not exist is, and no other.
  std::string text = timed.load_plans();
  for (size_t at = 0; (at = text.find("engine 2: b", at)) != std::string::npos;)
    text[at + 7] = '3', text[at + 10] = 'c';
  study::MemoryRunStore recorded;
  recorded.save_plans(text);
  CHECK(plans_of(recorded) == std::map<std::string, int>{{"engine 3: c", 15}});
  CHECK(scores != scores_timed);  // the plans named computed it
  study::MemoryRunStore again;
  again.save_plans(timed.load_plans());
  simt::set_plan_delays({0, 5000, 5000});  // whatever would be faster now
  plans_of(again);
  CHECK(scores == scores_timed);
  const size_t gone = text.find("engine 3: c");
  text.replace(gone, 11, "engine 9: z");
  study::MemoryRunStore stale;
  stale.save_plans(text);
  simt::set_plan_delays({0, 5000, 5000});
  CHECK(plans_of(stale) == std::map<std::string, int>{{"engine 1: a", 1}, {"engine 3: c", 14}});
  simt::set_plan_delays({});

  for (const bool deterministic : {true, false}) {
    settings.train.deterministic = deterministic;
    settings.train.plans = deterministic ? "timed" : "heuristic";
    study::MemoryRunStore none;
    CHECK(plans_of(none).empty());
  }
  expect_nothing();
}

TEST_CASE("GPU study: out of memory names the largest tensors and a batch that then trains") {
  use_device();
  study::CrossvalSettings settings = small_settings("cuda");
  settings.concurrent_folds = 1;
  settings.train.epochs = 1;
  settings.train.batch = 96;
  simt::set_device({.memory_bytes = simt::device_memory_bytes() + (6 << 20)});
  std::string said;
  try {
    scores_of(settings);
  } catch (const WorkError& error) {
    said = error.what();
  }
  INFO(said);
  CHECK(said.find("out of memory: GPU 0 has no ") != std::string::npos);
  CHECK(said.find(" in use: ") != std::string::npos);
  CHECK(said.find("augment [96, 32, 32, 8] f32 3.1 MB") != std::string::npos);
  const size_t at = said.find("; --batch ");
  REQUIRE(at != std::string::npos);
  settings.train.batch = std::stoi(said.substr(at + 10));
  CHECK(settings.train.batch >= 2);
  CHECK(settings.train.batch < 96);
  CHECK_FALSE(scores_of(settings).empty());
  simt::set_device({});
  expect_nothing();
}

TEST_CASE("GPU study: pretraining hands on to cross-validation, with fused numbers and views") {
  use_device();
  study::PretrainSettings first;
  first.train = small_settings("cuda").train;
  first.train.epochs = 1;
  first.train.sequences = "flair";
  first.task = "category";
  first.column = "gender";
  first.holdout = 0.3;
  Recorder store;
  study::Progress progress("test", 1, "images", false);
  const study::PretrainResult pretrained = study::pretrain(cohort(), first, store, progress);
  CHECK(pretrained.best_epoch == 1);
  for (const models::NamedTensor& one : pretrained.checkpoint.parameters) {
    CHECK(one.value.device() == Device::cpu);
  }

  const auto scores_on = [&](const char* device) {
    study::CrossvalSettings settings = small_settings(device);
    settings.train.epochs = 1;
    settings.train.init = "pretrained";
    settings.train.freeze = "stage1";
    settings.train.fuse = {"age"};
    settings.train.tta = 2;
    study::MemoryRunStore memory;
    std::vector<double> scores;
    for (const auto& row : crossval(settings, memory, &pretrained.checkpoint).predictions) {
      scores.push_back(row.scores[0]);
    }
    return scores;
  };
  const std::vector<double> cpu = scores_on("cpu"), gpu = scores_on("cuda");
  REQUIRE(gpu.size() == cpu.size());
  for (size_t i = 0; i < cpu.size(); ++i) CHECK(gpu[i] == doctest::Approx(cpu[i]).epsilon(1e-3));
  expect_nothing();
}
