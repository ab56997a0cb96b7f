// Choices of plans on the emulated GPU: what was chosen is recorded before anything made with it
// is.
#include <mutex>
#include <string>
#include <vector>

#include "engine/device/captured_work.hpp"
#include "engine/ops/conv.hpp"
#include "tests/simt/op_cases.hpp"
#include "tests/simt/small_study.hpp"

using namespace gliograd;
using simt::crossval;
using simt::expect_nothing;

namespace {

// Of one fold after the other.
study::CrossvalSettings small_settings() {
  study::CrossvalSettings settings = simt::small_settings();
  settings.concurrent_folds = 1;
  return settings;
}

// What plans.csv held when each fold was finished, and when each permutation was.
class Recorder final : public study::RunStore {
 public:
  std::vector<std::string> at_folds, at_permutations;
  void begin(const data::Dataset&, const data::Split&) override {}
  std::optional<study::FoldResult> finished(int, int) override { return std::nullopt; }
  std::optional<study::FoldState> load_state(int, int, Stream&) override { return std::nullopt; }
  void save_state(int, int, const study::FoldState&) override {}
  void finish(const study::FoldResult&, const models::Checkpoint&) override {
    const std::lock_guard lock(mutex_);
    at_folds.push_back(plans_);
  }
  std::map<int, double> permutations() override { return {}; }
  void add_permutation(int, double) override { at_permutations.push_back(plans_); }
  std::string load_plans() override { return plans_; }
  void save_plans(const std::string& csv) override {
    const std::lock_guard lock(mutex_);
    plans_ = csv;
  }

 private:
  std::mutex mutex_;
  std::string plans_;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

Tensor ones(Stream& stream, const Shape& shape) {
  return from_values(stream, shape, std::vector<double>(static_cast<size_t>(shape.size()), 1),
                     DType::f32);
}

}  // namespace

TEST_CASE("GPU plans: those of a fold's evaluation are recorded before the fold is finished") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  Recorder store;
  crossval(small_settings(), store);
  REQUIRE(store.at_folds.size() == 2);
  for (const std::string& plans : store.at_folds) {
    CHECK(has(plans, "conv forward f32 4x16x16x8"));   // a step
    CHECK(has(plans, "conv forward f32 16x16x16x8"));  // its 12 test slices, filled up
  }
  expect_nothing();
}

TEST_CASE("GPU plans: those of a permutation are recorded before its AUC is") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  Recorder real, whole;
  study::CrossvalSettings settings = small_settings();
  settings.permutations = 1;
  crossval(settings, whole);
  REQUIRE(whole.at_permutations.size() == 1);
  // As where the real folds were finished before: nothing but the permutation asks for plans.
  class Finished final : public study::RunStore {
   public:
    study::MemoryRunStore inner;
    Recorder plans;
    void begin(const data::Dataset&, const data::Split&) override {}
    std::optional<study::FoldResult> finished(int r, int f) override {
      return inner.finished(r, f);
    }
    std::optional<study::FoldState> load_state(int, int, Stream&) override { return std::nullopt; }
    void save_state(int, int, const study::FoldState&) override {}
    void finish(const study::FoldResult& a, const models::Checkpoint& b) override {
      inner.finish(a, b);
    }
    std::map<int, double> permutations() override { return {}; }
    void add_permutation(int i, double auc) override { plans.add_permutation(i, auc); }
    std::string load_plans() override { return plans.load_plans(); }
    void save_plans(const std::string& csv) override { plans.save_plans(csv); }
  } store;
  settings.permutations = 0;
  crossval(settings, store);
  store.plans.save_plans("product,plan,ms,workspace,candidates\n");
  settings.permutations = 1;
  crossval(settings, store);
  REQUIRE(store.plans.at_permutations.size() == 1);
  CHECK(has(store.plans.at_permutations[0], "conv forward f32 4x16x16x8"));
  CHECK(has(store.plans.at_permutations[0], "conv forward f32 16x16x16x8"));
  expect_nothing();
}

TEST_CASE("GPU plans: a shape first met while recording is timed when it runs eagerly") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  const auto plans = std::make_shared<PlanChoices>();
  const auto stream = Stream::cuda(0, {.plans = plans});
  const Tensor w = ones(*stream, {8, 3, 3, 8}), wide = ones(*stream, {1, 4, 16, 8}),
               square = ones(*stream, {1, 8, 8, 8});  // of one size: the same memory
  const auto pass = [&](const Tensor& x) {
    Tape tape = Tape::off(*stream);
    conv(tape, x, w, {}, {.pad = Padding::all(1)});
  };
  CapturedWork work(*stream);
  work.run([&] { pass(wide); });
  work.capture([&] { pass(square); });
  CHECK_FALSE(has(plans->csv(), "1x8x8x8"));
  work.replay();
  pass(square);
  CHECK(has(plans->csv(), "conv forward f32 1x8x8x8"));
  stream->wait();
  expect_nothing();
}
