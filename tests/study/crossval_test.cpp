#include "apps/study/crossval.hpp"

#include <cmath>
#include <cstring>
#include <functional>
#include <new>
#include <set>

#include "data/phantom.hpp"
#include "engine/core/interrupt.hpp"
#include "tests/support/cohort.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

study::CrossvalSettings small_settings() {
  study::CrossvalSettings settings;
  settings.target = "Subtype=2";
  settings.folds = 3;
  settings.train.width = 2;
  settings.train.window = 16;
  settings.train.epochs = 4;
  settings.train.batch = 8;
  settings.train.warmup_epochs = 0;
  settings.train.learning_rate = 1e-2;
  return settings;
}

// Keeps states and models in memory; stops the run after `saves_left` saved epochs.
class Recorder final : public study::RunStore {
 public:
  int saves_left = -1;                                        // never
  std::function<void(int repeat, int fold)> on_save;          // may throw
  std::map<std::pair<int, int>, std::vector<double>> models;  // all weights of a fold

  void begin(const data::Dataset& set, const data::Split& split) override {
    inner_.begin(set, split);
  }
  std::optional<study::FoldResult> finished(int repeat, int fold) override {
    return inner_.finished(repeat, fold);
  }
  std::optional<study::FoldState> load_state(int repeat, int fold, Stream&) override {
    const std::lock_guard lock(mutex_);
    const auto found = states_.find({repeat, fold});
    if (found == states_.end()) return std::nullopt;
    return found->second;
  }
  void save_state(int repeat, int fold, const study::FoldState& state) override {
    study::FoldState copy = state;
    for (auto& [name, tensor] : copy.tensors) {
      Tensor values = empty(cpu_stream(), tensor.shape, tensor.dtype);
      std::memcpy(values.raw(), tensor.raw(), tensor.bytes());
      tensor = values;
    }
    const std::lock_guard lock(mutex_);
    states_[{repeat, fold}] = std::move(copy);
    if (on_save) on_save(repeat, fold);
    if (saves_left > 0 && --saves_left == 0) throw Interrupted();
  }
  void finish(const study::FoldResult& result, const models::Checkpoint& model) override {
    const std::lock_guard lock(mutex_);
    std::vector<double>& all = models[{result.repeat, result.fold}];
    for (const models::NamedTensor& one : model.parameters) {
      const std::vector<double> v = to_values(one.value);
      all.insert(all.end(), v.begin(), v.end());
    }
    seen[{result.repeat, result.fold}] = model.seen.ids;
    inner_.finish(result, model);
  }
  std::map<int, double> permutations() override { return inner_.permutations(); }
  void add_permutation(int index, double auc) override { inner_.add_permutation(index, auc); }

  std::map<std::pair<int, int>, std::vector<std::string>> seen;

  study::FoldState& state(int repeat, int fold) { return states_.at({repeat, fold}); }

 private:
  std::mutex mutex_;  // folds call from threads of their own
  std::map<std::pair<int, int>, study::FoldState> states_;
  study::MemoryRunStore inner_;
};

study::CrossvalResult run(const data::Dataset& set, const study::CrossvalSettings& settings,
                          study::RunStore& store) {
  const study::Target target = study::make_target(set, settings.target);
  study::Progress progress("test", 1, "images", false);
  return study::crossval(set, target, settings, nullptr, store, progress);
}

study::CrossvalResult run(const data::Dataset& set, const study::CrossvalSettings& settings) {
  study::MemoryRunStore store;
  return run(set, settings, store);
}

std::string text_of(const study::CrossvalResult& result) {
  return study::format_predictions(result.predictions);
}

}  // namespace

TEST_CASE(
    "crossval: every patient is scored once a repeat, out of its fold, and a signal is found") {
  const data::Dataset set = tiny_cohort();
  study::CrossvalSettings settings = small_settings();
  settings.repeats = 2;
  settings.train.epochs = 12;
  Recorder store;
  const study::CrossvalResult result = run(set, settings, store);
  REQUIRE(result.predictions.size() == 48);
  std::set<std::pair<std::string, int>> places;
  for (const study::ScoredPatient& row : result.predictions) {
    places.insert({row.id, row.repeat});
    const int p = std::stoi(row.id.substr(1));
    CHECK(row.label == p % 2);
    CHECK(row.fold == result.split.fold_of[row.repeat][p]);
    const std::vector<std::string>& seen = store.seen[{row.repeat, row.fold}];
    CHECK(std::find(seen.begin(), seen.end(), row.id) == seen.end());
    CHECK(seen.size() == 16);
  }
  CHECK(places.size() == 48);
  CHECK(study::pooled_auc(result.predictions, 2) > 0.9);
}

TEST_CASE("crossval: the same bits for any number of threads and folds at once" *
          doctest::test_suite("threads")) {
  const data::Dataset set = tiny_cohort();
  study::CrossvalSettings settings = small_settings();
  settings.train.preset = "full";
  const std::string one = text_of(run(set, settings));
  settings.threads = 3;
  CHECK(text_of(run(set, settings)) == one);
  settings.concurrent_folds = 2;
  CHECK(text_of(run(set, settings)) == one);
  settings.train.seed = 2;
  CHECK(text_of(run(set, settings)) != one);
}

TEST_CASE("crossval: bf16 on the CPU, the same bits for any number of threads and folds at once") {
  const data::Dataset set = tiny_cohort();
  study::CrossvalSettings settings = small_settings();
  const std::string f32 = text_of(run(set, settings));
  settings.train.dtype = "bf16";
  const std::string one = text_of(run(set, settings));
  CHECK(one != f32);
  settings.threads = 3;
  CHECK(text_of(run(set, settings)) == one);
  settings.concurrent_folds = 2;
  CHECK(text_of(run(set, settings)) == one);
}

TEST_CASE("crossval: 30 epochs on the phantom find in bf16 what f32 finds") {
  const data::Dataset set = data::make_phantom({.patients = 30, .size = 64, .slices = 4}, 32);
  study::CrossvalSettings settings = small_settings();
  settings.target = "COCCluster=2";
  settings.train.width = 4;
  settings.train.window = 32;
  settings.train.epochs = 30;
  const auto scores = [&](const char* dtype) {
    settings.train.dtype = dtype;
    return run(set, settings).predictions;
  };
  const auto wide = scores("f32"), half = scores("bf16");
  CHECK(study::format_predictions(wide) != study::format_predictions(half));
  const double f32 = study::pooled_auc(wide, 2), bf16 = study::pooled_auc(half, 2);
  MESSAGE("AUC in f32 ", f32, ", in bf16 ", bf16);
  CHECK(f32 > 0.7);
  CHECK(std::abs(bf16 - f32) < 0.1);
}

TEST_CASE("crossval: a run that was stopped at any epoch ends like one that never was") {
  const data::Dataset set = tiny_cohort();
  for (const study::Select select :
       {study::Select::last, study::Select::holdout, study::Select::inner}) {
    study::CrossvalSettings settings = small_settings();
    settings.select = select;
    settings.train.ema = 0.9;
    settings.train.optimizer = "adamw";
    settings.folds = 2;
    if (select == study::Select::holdout) settings.train.dtype = "bf16";
    Recorder whole;
    const std::string expected = text_of(run(set, settings, whole));
    for (const int stop : {1, 2, 5}) {
      Recorder store;
      store.saves_left = stop;
      for (int attempt = 0;; ++attempt) {
        try {
          const std::string resumed = text_of(run(set, settings, store));
          CHECK(resumed == expected);
          break;
        } catch (const Interrupted&) {
          store.saves_left = stop + attempt;
        }
      }
      CHECK(store.models == whole.models);
    }
  }
}

TEST_CASE("crossval: a saved state that was damaged is refused, whatever it holds") {
  const data::Dataset set = tiny_cohort();
  study::CrossvalSettings settings = small_settings();
  settings.select = study::Select::inner;
  settings.folds = 2;
  settings.threads = 1;  // fold 0 first
  using State = study::FoldState;
  const std::pair<const char*, std::function<void(State&)>> damages[] = {
      {"network", [](State& s) { s.stage = -1; }},
      {"network", [](State& s) { s.stage = 1 << 30; }},
      {"epoch", [](State& s) { s.epoch = -1; }},
      {"epoch", [](State& s) { s.epoch = 1000; }},
      {"step", [](State& s) { s.step.step = int64_t{1} << 40; }},
      {"step", [](State& s) { s.epoch = 1; }},
      {"counters", [](State& s) { s.step.updates = -5; }},
      {"counters", [](State& s) { s.step.loss_scale = NAN; }},
      {"history", [](State& s) { s.history.pop_back(); }},
      {"history", [](State& s) { s.history[0].epoch = 9; }},
      {"history", [](State& s) { s.history[0].train_loss = NAN; }},
      {"inner curves", [](State& s) { s.inner_losses.pop_back(); }},
      {"losses", [](State& s) { s.inner_losses[0].pop_back(); }},
      {"not finite", [](State& s) { s.inner_losses[0][0] = NAN; }},
      {"epochs", [](State& s) { s.inner_scores.pop_back(); }},
      {"inner scores", [](State& s) { s.inner_scores[0].pop_back(); }},
      {"stands twice", [](State& s) { s.inner_scores[0][1] = s.inner_scores[0][0]; }},
      {"not finite", [](State& s) { s.inner_scores[0][0].scores[0] = NAN; }},
      {"tensors", [](State& s) { s.tensors.pop_back(); }},
      {"NaN", [](State& s) { s.tensors[0].second.data<float>()[0] = NAN; }},
      {"must be f32",
       [](State& s) {
         s.tensors[0].second = empty(cpu_stream(), s.tensors[0].second.shape, DType::f64);
       }},
  };
  for (const auto& [text, damage] : damages) {
    Recorder store;
    store.saves_left = 6;  // in the second of the inner networks
    CHECK_THROWS_AS(run(set, settings, store), Interrupted);
    store.saves_left = -1;
    damage(store.state(0, 0));
    std::string said;
    try {
      run(set, settings, store);
    } catch (const Error& error) {
      said = error.what();
    }
    const std::string wanted = text;
    INFO(wanted, " -> ", said);
    CHECK(contains(said, "repeat 0, fold 0"));
    CHECK(contains(said, wanted));
  }
}

TEST_CASE("crossval: a fold's model knows nothing of its test patients") {
  data::Dataset set = tiny_cohort();
  const study::CrossvalSettings settings = small_settings();
  Recorder before, after;
  const study::CrossvalResult result = run(set, settings, before);
  const int patient = 5, fold = result.split.fold_of[0][patient];
  uint8_t* images = set.images.data() + data::first_slice(set, patient) * 16 * 16 * 2;
  for (int i = 0; i < 3 * 16 * 16 * 2; ++i) images[i] = static_cast<uint8_t>(255 - images[i]);
  run(set, settings, after);
  for (int f = 0; f < 3; ++f) {
    CHECK((before.models[{0, f}] == after.models[{0, f}]) == (f == fold));
  }
}

TEST_CASE("crossval: inner folds choose the epochs and score all training patients") {
  const data::Dataset set = tiny_cohort();
  study::CrossvalSettings settings = small_settings();
  settings.select = study::Select::inner;
  study::MemoryRunStore store;
  const study::CrossvalResult result = run(set, settings, store);
  CHECK(result.inner.size() == 3 * 16);
  for (int f = 0; f < 3; ++f) {
    const std::vector<study::HistoryRow> history = store.finished(0, f)->history;
    REQUIRE(!history.empty());
    double best = INFINITY;
    for (const study::HistoryRow& row : history) {
      CHECK(std::isfinite(row.inner_loss));
      best = std::min(best, row.inner_loss);
    }
    CHECK(history.back().inner_loss == best);  // stopped at the minimum
  }
}

TEST_CASE("crossval: with nothing to see, every kind of split scores about one half") {
  const data::Dataset set = tiny_cohort({.patients = 30, .slices = 1, .blank = true});
  for (const data::SplitKind kind :
       {data::SplitKind::stratified, data::SplitKind::site, data::SplitKind::patient}) {
    double sum = 0;
    for (uint32_t seed = 1; seed <= 4; ++seed) {
      study::CrossvalSettings settings = small_settings();
      settings.split = kind;
      settings.train.seed = seed;
      settings.train.epochs = 2;
      settings.train.preset = "off";
      sum += study::pooled_auc(run(set, settings).predictions, 2);
    }
    INFO("split ", data::name_of(kind));
    CHECK(sum / 4 == doctest::Approx(0.5).epsilon(0.3));
  }
}

TEST_CASE("crossval: permutations are run on shuffled labels and kept by the store" *
          doctest::test_suite("threads")) {
  const data::Dataset set = tiny_cohort();
  study::CrossvalSettings settings = small_settings();
  settings.permutations = 3;
  settings.threads = 3;
  study::MemoryRunStore store;
  const study::CrossvalResult result = run(set, settings, store);
  CHECK(result.permutations.size() == 3);
  CHECK(store.permutations() == result.permutations);
  const std::string expected = text_of(result);
  CHECK(text_of(run(set, settings, store)) == expected);  // all from the store
}

TEST_CASE("crossval: an error inside a fold names the fold and keeps its type" *
          doctest::test_suite("threads")) {
  const data::Dataset set = tiny_cohort();
  study::CrossvalSettings settings = small_settings();
  settings.repeats = 2;
  settings.train.epochs = 1;
  settings.threads = 2;
  const auto text_of_error = [&]<class Expected>(const auto& raise, Expected*) {
    Recorder store;
    store.on_save = [&](int repeat, int fold) {
      if (repeat == 1 && fold == 2) raise();
    };
    try {
      run(set, settings, store);
    } catch (const Error& error) {
      CHECK(typeid(error) == typeid(Expected));
      return std::string(error.what());
    }
    FAIL("no error came out");
    return std::string();
  };
  Error* const error = nullptr;
  WorkError* const work = nullptr;
  CHECK(text_of_error([] { throw Error("set.h5: damaged"); }, error) ==
        "repeat 1, fold 2: set.h5: damaged");
  CHECK(text_of_error([] { throw WorkError("state.h5: full"); }, work) ==
        "repeat 1, fold 2: state.h5: full");
  CHECK(text_of_error([] { throw kernels::DeviceError("conv"); },
                      static_cast<kernels::DeviceError*>(nullptr)) == "repeat 1, fold 2: conv");
  CHECK(text_of_error([] { throw std::bad_alloc(); }, work) == "repeat 1, fold 2: out of memory");
  CHECK(text_of_error([] { throw std::length_error("too long"); }, work) ==
        "repeat 1, fold 2: too long");
  CHECK(text_of_error([] { throw Interrupted(); }, static_cast<Interrupted*>(nullptr)) ==
        "interrupted");
}

TEST_CASE("crossval: an error inside a permutation names it and its fold") {
  data::Dataset set = tiny_cohort();
  study::CrossvalSettings settings = small_settings();
  study::MemoryRunStore store;
  run(set, settings, store);  // the real labels are done, so that only permutations are trained
  for (data::Patient& patient : set.patients) {
    for (auto& scale : patient.affine) scale = {NAN, NAN};
  }
  settings.permutations = 1;
  const std::string error = error_of([&] { run(set, settings, store); });
  INFO(error);
  CHECK(error.rfind("permutation 1, fold 0: training: the loss of epoch 1 is ", 0) == 0);
}

TEST_CASE("crossval: all classes at once give one score a class") {
  data::Dataset set = tiny_cohort({.patients = 27});
  set.labels[0].classes = {"1", "2", "3"};
  for (int p = 0; p < 27; ++p) set.labels[0].values[p] = p % 3;
  study::CrossvalSettings settings = small_settings();
  settings.target = "Subtype";
  const study::CrossvalResult result = run(set, settings);
  for (const study::ScoredPatient& row : result.predictions) {
    REQUIRE(row.scores.size() == 3);
    CHECK(row.scores[0] + row.scores[1] + row.scores[2] == doctest::Approx(1));
  }
}

TEST_CASE("crossval: fused numbers are standardized with the training patients alone") {
  data::Dataset set = tiny_cohort();
  std::vector<int32_t> training;
  for (int32_t p = 0; p < 20; ++p) training.push_back(p);
  const study::FusedFeatures before = study::fuse_features(set, {"age", "shape"}, training);
  CHECK(before.names == std::vector<std::string>{"age", "age missing", "inverse_bevr",
                                                 "angular_std", "margin_fluctuation"});
  CHECK(before.values[3 * 5] == 0.0f);      // patient 3 has no age: the mean
  CHECK(before.values[3 * 5 + 1] == 1.0f);  // and an indicator
  set.covariates[0].values[22] = 1000;      // not a training patient
  const study::FusedFeatures after = study::fuse_features(set, {"age", "shape"}, training);
  for (int p = 0; p < 20 * 5; ++p) CHECK(before.values[p] == after.values[p]);
  study::CrossvalSettings settings = small_settings();
  settings.train.fuse = {"shape", "age"};
  CHECK(run(set, settings).predictions.size() == 24);
  set.covariates[0].name = "age_years";
  CHECK(run(set, settings).predictions.size() == 24);
  for (const auto& [names, twice] :
       {std::pair{std::vector<std::string>{"shape", "shape"}, "inverse_bevr"},
        {{"age", "shape", "age_years"}, "age_years"}}) {
    CHECK(error_of([&, &names = names] { study::fuse_features(set, names, training); }) ==
          std::string("fuse: ") + twice + " is named twice");
  }
  settings.train.fuse = {"weight"};
  CHECK(contains(error_of([&] { run(set, settings); }), "no covariate column \"weight\""));
}
