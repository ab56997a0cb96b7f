// Whole training steps. A program around it stands in step_bench.cpp.
//
//   setup --model subtype --size 80 --batch 32 ...   makes the network, warms up
//   round N                                          times N steps
//   launches                                         of one eager step, by kernel
//   largest --model subtype --size 80 ...            the largest batch whose step fits
#pragma once
#include "bench/gpu/engine.hpp"
#include "bench/gpu/meter.hpp"
#include "bench/gpu/training.hpp"

namespace gliograd::bench {

class StepEngine final : public Engine {
 public:
  StepEngine()
      : Engine({{"setup", [this](const auto& words) { return setup(words); }},
                {"round", [this](const auto& words) { return round(words); }},
                {"launches", [this](const auto&) { return launches(); }},
                {"largest", [this](const auto& words) { return largest(words); }}}) {}

 private:
  static constexpr int kWarmup = 5;  // graphs are captured at the third

  const NoiseSource& source_for(const TrainingOptions& o) {
    if (!source_ || !source_->serves(o)) source_ = std::make_unique<NoiseSource>(o.slices, o.size);
    return *source_;
  }

  std::string setup(const std::vector<std::string>& given) {
    Words words(given);
    const TrainingOptions options = TrainingOptions::read(words);
    words.finish();
    training_.reset();  // first, so that its memory is there again
    training_ = std::make_unique<Training>(options, source_for(options));
    for (int i = 0; i < kWarmup; ++i) training_->step();
    training_->stream().wait();
    const kernels::DeviceFacts facts = kernels::device_facts(0);
    return Record()
        .add("engine", "gliograd")
        .add("device", facts.name)
        .add("graph_nodes", training_->graph_nodes())
        .add("peak_bytes", training_->peak_bytes())
        .add("held_bytes", training_->held_bytes())
        .text();
  }

  std::string round(const std::vector<std::string>& given) {
    if (!training_) throw Error("round: setup comes first");
    int64_t steps = 20;
    if (!given.empty()) {
      steps =
          Words({"--steps", given[0]}).integer("--steps", 20, 1, training_->options().most_steps);
    }
    training_->begin_epoch();
    const StepState before = training_->stream().read_state();
    const double norm = training_->weight_norm();
    Stopwatch watch(training_->stream());
    const Reading first = meter_.read();
    const auto start = std::chrono::steady_clock::now();
    const double ms = watch.ms([&] {
      for (int64_t i = 0; i < steps; ++i) training_->step();
    });
    const std::chrono::duration<double, std::milli> wall = std::chrono::steady_clock::now() - start;
    const StepState after = training_->stream().read_state();
    const Reading last = meter_.read();
    const auto n = static_cast<double>(steps);
    const double batch = static_cast<double>(training_->options().batch);
    const double loss = after.loss_sum / (n * batch);
    if (!(loss > 0 && loss < 100)) throw WorkError(concat_text("the mean loss is ", loss));
    const int64_t updates = after.updates - before.updates;
    // f16 may skip some; all else counts every one.
    if (updates < 1 || (training_->options().dtype != DType::f16 && updates != steps)) {
      throw WorkError(concat_text(updates, " of ", steps, " steps changed the weights"));
    }
    if (training_->weight_norm() == norm) throw WorkError("the weights did not change");
    return Record()
        .add("steps", steps)
        .add("ms", ms / n)
        .add("wall_ms", wall.count() / n)
        .add("images_per_second", 1e3 * n * batch / wall.count())
        .add("loss", loss)
        .add("updates", updates)
        .add("joules_per_image", last.joules_since(first) / (n * batch))
        .add("gpu_before", first.record())
        .add("gpu", last.record())
        .text();
  }

  std::string launches() {
    if (!training_) throw Error("launches: setup comes first");
    training_->launches();  // once more, with the record on
    struct Sum {
      int64_t count = 0;
      double ms = 0, bytes = 0;
    };
    std::map<std::string, Sum> kernels;
    Sum all;
    const std::vector<kernels::RecordedLaunch> step = training_->launches();
    for (const kernels::RecordedLaunch& launch : step) {
      for (Sum* sum : {&all, &kernels[launch.name]}) {
        ++sum->count;
        sum->ms += launch.ms;
        sum->bytes += launch.cost.bytes;
      }
    }
    std::vector<Record> rows;
    for (const auto& [name, sum] : kernels) {
      rows.push_back(Record()
                         .add("kernel", name)
                         .add("launches", sum.count)
                         .add("ms", sum.ms)
                         .add("bytes", sum.bytes));
    }
    // Launch by launch: what lies between the kernels is the host's, and the events' around each.
    const double span = step.back().begin_ms + step.back().ms - step.front().begin_ms;
    return Record()
        .add("launches", all.count)
        .add("kernel_ms", all.ms)
        .add("idle_ms", span - all.ms)
        .add("kernels", rows)
        .text();
  }

  bool fits(TrainingOptions options, int64_t batch, std::string& why) {
    options.batch = batch;
    options.most_steps = 4;
    training_.reset();
    try {
      Training one(options, source_for(options));
      for (int i = 0; i < 4; ++i) one.step();
      one.stream().wait();
      return true;
    } catch (const WorkError& error) {
      why = error.what();
      return false;
    }
  }
  std::string largest(const std::vector<std::string>& given) {
    Words words(given);
    const TrainingOptions options = TrainingOptions::read(words);
    const int64_t limit = words.integer("--limit", 1 << 20, 1, 1 << 22);
    words.finish();
    std::string why;
    int64_t good = 0, bad = options.batch;
    while (bad <= limit && fits(options, bad, why)) good = bad, bad *= 2;
    const bool reached = bad <= limit;
    while (reached && bad - good > std::max<int64_t>(1, good / 32)) {
      const int64_t middle = good + (bad - good) / 2;
      (fits(options, middle, why) ? good : bad) = middle;
    }
    if (good == 0) throw WorkError("no batch fits: " + why);
    return Record().add("largest_batch", good).add("refused", why).text();
  }

  Meter meter_;
  std::unique_ptr<NoiseSource> source_;
  std::unique_ptr<Training> training_;
};

}  // namespace gliograd::bench
