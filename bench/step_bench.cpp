// Where a training step's time goes: SubtypeNet's step on one thread, op by op, f32, as a Markdown
// table. A plain program.
//   build/bench/bench_step --size 80 --preset light
//
// Times are CPU time of medians over steps, so that other work on the machine counts little.
// Between two ops stands a node that changes nothing and reads the clock, on the way forward and on
// the way back: the ops run on one tape, in the order, layouts and memory of a real step.
#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "bench/noise_set.hpp"
#include "data/augment_policy.hpp"
#include "engine/core/error.hpp"
#include "engine/device/machine.hpp"
#include "engine/ops/pool.hpp"
#include "engine/ops/softmax_cross_entropy.hpp"
#include "engine/optim/optimizer.hpp"
#include "engine/tensor/layout.hpp"
#include "models/module.hpp"

namespace {

using namespace gliograd;

constexpr int kBatch = 32, kWarmup = 5, kSteps = 30;

// Lays the time since the last reading to what is named.
class Clock {
 public:
  void start() { last_ = std::clock(); }
  void lap(const std::string& op, bool backward) {
    const std::clock_t now = std::clock();
    if (laps_.count(op) == 0) order_.push_back(op);
    laps_[op][backward ? 1 : 0].push_back(1e3 * static_cast<double>(now - last_) / CLOCKS_PER_SEC);
    last_ = std::clock();
  }
  void forget() {
    for (auto& [op, both] : laps_) both[0].clear(), both[1].clear();
  }
  const std::vector<std::string>& ops() const { return order_; }
  /// Median, ms; 0 where it was never met.
  double ms(const std::string& op, int direction) const {
    std::vector<double> values = laps_.at(op)[direction];
    if (values.empty()) return 0;
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
  }

 private:
  std::clock_t last_ = 0;
  std::vector<std::string> order_;
  std::map<std::string, std::array<std::vector<double>, 2>> laps_;
};

// On the way back it comes between op `after`, whose gradient is done, and op `before`.
class MarkNode final : public Node {
 public:
  MarkNode(Clock& clock, std::string after) : clock_(&clock), after_(std::move(after)) {}
  const char* name() const override { return "mark"; }
  int64_t saved_bytes() const override { return 0; }
  std::vector<Tensor> backward(BackwardContext&, const Tensor& dy) override {
    clock_->lap(after_, true);
    return {dy};
  }

 private:
  Clock* clock_;
  std::string after_;
};

// Puts `y`, just computed by `op`, in front of the op called `next`.
Tensor mark(Tape& tape, Clock& clock, const Tensor& y, const std::string& op,
            const std::string& next) {
  clock.lap(op, false);
  return tape.record(y.detached(), {y}, MarkNode(clock, next));
}

struct Stage {
  models::Conv conv;
  models::BatchNorm norm;
  std::string conv_name, norm_name, pool_name;
};

std::vector<Stage> make_stages(models::Weights& weights, int size) {
  std::vector<Stage> stages;
  int64_t in = 4;
  for (const int64_t width : {16, 32, 64, 96}) {
    const std::string number = std::to_string(stages.size() + 1);
    const std::string place = concat_text(' ', size, "², ");
    stages.push_back(
        {models::Conv(weights, concat_text("stage", number, ".conv1"), {.in = in, .out = width}),
         models::BatchNorm(weights, concat_text("stage", number, ".norm1"), width,
                           Activation::relu),
         concat_text("convolution", place, in, " → ", width),
         concat_text("batch norm and ReLU", place, width), concat_text("max pool", place, width)});
    in = width;
    size /= 2;
  }
  return stages;
}

void print(const Clock& clock, int size, const std::string& preset) {
  double total = 0;
  for (const std::string& op : clock.ops()) total += clock.ms(op, 0) + clock.ms(op, 1);
  std::cout << "SubtypeNet, " << size << "², batch " << kBatch << ", f32, one thread, augmentation "
            << preset << "; " << machine_facts().processor << ", oneDNN "
            << (onednn_version().empty() ? "none" : onednn_version())
            << "\n\n| op | forward ms | backward ms | share |\n| --- | --- | --- | --- |\n"
            << std::fixed;
  for (const std::string& op : clock.ops()) {
    const double forward = clock.ms(op, 0), backward = clock.ms(op, 1);
    std::cout << "| " << op << " | " << std::setprecision(2) << forward << " | ";
    if (backward > 0) std::cout << backward;
    std::cout << " | " << std::setprecision(1) << 100 * (forward + backward) / total << " % |\n";
  }
  std::cout << "| all | " << std::setprecision(2) << total << " | | " << std::setprecision(0)
            << 1e3 * kBatch / total << " images/s |\n";
}

void run(int size, const std::string& preset) {
  const std::unique_ptr<Stream> stream = Stream::cpu({.random = {.seed = 1}});
  const data::Dataset set = bench::noise_set(kBatch, 1, size);
  const data::Resident resident(set);
  const InputSpec input = data::input_spec(set, {.window = size});
  const AugmentOptions augmentation = data::augment_preset(preset);
  std::vector<int32_t> slices;
  for (int32_t n = 0; n < kBatch; ++n) slices.push_back(n);
  Tensor labels = empty(*stream, {kBatch}, DType::i32);
  for (int64_t i = 0; i < kBatch; ++i) labels.at<int32_t>(i) = static_cast<int32_t>(i % 2);

  models::Weights weights(*stream);
  const std::vector<Stage> stages = make_stages(weights, size);
  const models::Linear head(weights, "head", 96, 2);
  Optimizer optimizer(*stream, {{"all", weights.parameters(), 1, 1e-2}}, {},
                      LearningRates::cosine(1e-3, kWarmup + kSteps, 0));
  const std::string gather = "gathering and augmentation", tail = "pooling, head and loss",
                    update = "optimizer (AdamW)";
  Clock clock;
  for (int step = 0; step < kWarmup + kSteps; ++step) {
    if (step == kWarmup) clock.forget();
    StepState& state = *stream->state();
    state.draw = step * kBatch;
    clock.start();
    Tensor y = augment(*stream, resident.set(), input, slices, augmentation, state).images;
    clock.lap(gather, false);
    Tape tape(*stream);
    for (size_t i = 0; i < stages.size(); ++i) {
      const Stage& s = stages[i];
      const std::string after = i + 1 < stages.size() ? stages[i + 1].conv_name : tail;
      y = mark(tape, clock, s.conv(tape, y), s.conv_name, s.norm_name);
      y = mark(tape, clock, s.norm(tape, y, Mode::train), s.norm_name, s.pool_name);
      y = mark(tape, clock, max_pool(tape, y, {}), s.pool_name, after);
    }
    const Tensor loss =
        softmax_cross_entropy(tape, head(tape, global_average_pool(tape, y)), labels, {});
    clock.lap(tail, false);
    y = {};
    tape.backward(loss);
    clock.lap(stages.front().conv_name, true);  // with handing the gradients to the parameters
    optimizer.step();
    clock.lap(update, false);
    GG_CHECK(std::isfinite(loss.at<float>(0)), "the loss is not finite");
  }
  print(clock, size, preset);
}

}  // namespace

int main(int argc, char** argv) {
  int size = 80;
  std::string preset = "light";
  try {
    for (int i = 1; i < argc; ++i) {
      const std::string name = argv[i];
      if (name.rfind("--benchmark_", 0) == 0) continue;  // ./run bench hands them to all programs
      if (name == "--help") {
        std::cout << "bench_step [--size PIXELS] [--preset off|light|full]: the time of each op of "
                     "a training step\nExample: bench_step --size 128 --preset off\n";
        return 0;
      }
      if (i + 1 == argc || (name != "--size" && name != "--preset")) {
        throw Error("known are --size PIXELS and --preset NAME; got " + name);
      }
      std::istringstream value(argv[++i]);
      if (name == "--preset") {
        value >> preset;
      } else if (!(value >> size) || size < 16 || size > 512 || !value.eof()) {
        throw Error(concat_text("--size must be 16 to 512; got \"", argv[i], '"'));
      }
    }
    run(size, preset);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_step: " << error.what() << '\n';
    return 2;
  }
}
