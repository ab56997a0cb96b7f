// Twenty training steps of SubtypeNet against PyTorch (tests/oracle/make_fixtures.py): the same
// weights, batches and settings, every optimizer, with weight decay, clipping and averages.
#include <algorithm>

#include "engine/ops/softmax_cross_entropy.hpp"
#include "engine/optim/optimizer.hpp"
#include "tests/models/pytorch_fixture.hpp"

using namespace gliograd;
using namespace gliograd::models;
using namespace gliograd::test;

namespace {

constexpr int kSteps = 20;
constexpr double kEmaDecay = 0.8;

struct Training {
  const char* name;  // of the fixture's group
  OptimizerOptions options;
  double rate;
  double weight_decay;
};

using Kind = OptimizerOptions::Kind;
const Training kTrainings[] = {
    {"sgd", {.kind = Kind::sgd, .momentum = 0}, 0.05, 0},
    {"momentum", {.kind = Kind::sgd, .momentum = 0.9}, 0.02, 0.01},
    {"nesterov", {.kind = Kind::sgd, .momentum = 0.9, .nesterov = true}, 0.02, 0.01},
    {"nesterov_clipped",
     {.kind = Kind::sgd, .momentum = 0.9, .nesterov = true, .clip_norm = 0.25},
     0.05,
     0},
    {"adam", {.kind = Kind::adam}, 0.003, 0},
    {"adam_l2", {.kind = Kind::adam}, 0.003, 0.02},
    {"adamw", {.kind = Kind::adamw, .beta2 = 0.99}, 0.003, 0.1},
    {"adamw_clipped", {.kind = Kind::adamw, .beta2 = 0.99, .clip_norm = 0.25}, 0.003, 0.1},
};

struct Trained {
  std::vector<double> parameters5, parameters20, buffers20, average20, losses;
  bool clipped = false;  // at least one gradient was longer than clip_norm
};

Trained train(const NetworkFixture& fixture, const Training& training, DType dtype) {
  const auto network = fixture.network("subtype", {{"widths", "4-6-8"}}, dtype);
  Stream& stream = cpu_stream();
  *stream.state() = {};
  OptimizerOptions options = training.options;
  options.ema_decay = kEmaDecay;
  Optimizer optimizer(stream,
                      {{.name = "all",
                        .parameters = network->weights().parameters(),
                        .weight_decay = training.weight_decay}},
                      options, LearningRates::constant(training.rate, kSteps));
  Trained trained;
  for (int step = 1; step <= kSteps; ++step) {
    const NetworkFixture::Batch batch = fixture.batch((step - 1) % kFixtureBatches, dtype);
    Tape tape(stream, dtype);
    const Tensor logits = network->forward(tape, batch.x, batch.extra, Mode::train);
    const Tensor loss = softmax_cross_entropy(tape, logits, batch.labels);
    tape.backward(loss);
    optimizer.step();
    trained.losses.push_back(values(loss).front());
    trained.clipped |= options.clip_norm > 0 && optimizer.gradient_norm() > options.clip_norm;
    if (step == 5) trained.parameters5 = flat_parameters(*network);
  }
  trained.parameters20 = flat_parameters(*network);
  trained.buffers20 = flat_buffers(*network);
  optimizer.swap_in_ema();
  trained.average20 = flat_parameters(*network);
  return trained;
}

}  // namespace

TEST_CASE("pytorch: 20 steps of every optimizer in f64") {
  const NetworkFixture fixture("subtype");
  for (const Training& training : kTrainings) {
    CAPTURE(std::string(training.name));
    const std::string group = std::string("/optimizers/") + training.name + "/";
    const Trained ours = train(fixture, training, DType::f64);
    CHECK(distance(ours.parameters20, fixture.numbers(group + "parameters20")) <= 1e-10);
    CHECK(distance(ours.buffers20, fixture.numbers(group + "buffers20")) <= 1e-10);
    CHECK(distance(ours.average20, fixture.numbers(group + "average20")) <= 1e-10);
    CHECK(distance(ours.losses, fixture.numbers(group + "losses")) <= 1e-10);
    CHECK(ours.clipped == (training.options.clip_norm > 0));
    // The weights moved far more than that.
    CHECK(distance(ours.parameters20, fixture.numbers("initial")) > 1e-3);
  }
}

TEST_CASE("pytorch: f32 stays near f64, no farther than three times PyTorch's own f32") {
  const NetworkFixture fixture("subtype");
  for (const Training& training : kTrainings) {
    CAPTURE(std::string(training.name));
    const std::string group = std::string("/optimizers/") + training.name + "/";
    const Trained ours = train(fixture, training, DType::f32);
    const double at5 = distance(ours.parameters5, fixture.numbers(group + "parameters5"));
    const double at20 = distance(ours.parameters20, fixture.numbers(group + "parameters20"));
    // Of its two memory orders, the farther one.
    const std::vector<double> theirs = fixture.numbers(group + "f32_distance20");
    CHECK(at5 <= 1e-4);
    CHECK(at20 <= 3 * *std::max_element(theirs.begin(), theirs.end()));
  }
}
