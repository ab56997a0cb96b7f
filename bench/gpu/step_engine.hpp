// The step bench as an engine that takes turns with others (bench/gpu/turns.py): a request a line,
// an answer a line. A program around it stands in step_bench.cpp.
//
//   setup --model subtype --size 80 --batch 32 ...   makes the network, warms up
//   round N                                          times N steps
//   launches                                         of one eager step, by kernel
//   largest --model subtype --size 80 ...            the largest batch whose step fits
//
// An answer is a JSON object; where something went wrong it has a key "error", and the engine goes
// on.
#pragma once
#include <iterator>
#include <sstream>

#include "bench/gpu/training.hpp"

namespace gliograd::bench {

class StepEngine {
 public:
  std::string answer(const std::string& request) {
    std::istringstream in(request);
    const std::vector<std::string> words{std::istream_iterator<std::string>(in), {}};
    try {
      if (words.empty()) throw Error("an empty request");
      const std::vector<std::string> rest(words.begin() + 1, words.end());
      if (words[0] == "setup") return setup(rest);
      if (words[0] == "round") return round(rest);
      if (words[0] == "launches") return launches();
      if (words[0] == "largest") return largest(rest);
      throw Error("unknown request \"" + words[0] +
                  "\"; known are setup, round, launches, largest");
    } catch (const std::exception& error) {
      return Record().add("error", std::string(error.what())).text();
    }
  }

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
    const auto start = std::chrono::steady_clock::now();
    const double ms = watch.ms([&] {
      for (int64_t i = 0; i < steps; ++i) training_->step();
    });
    const std::chrono::duration<double, std::milli> wall = std::chrono::steady_clock::now() - start;
    const StepState after = training_->stream().read_state();
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
    for (const kernels::RecordedLaunch& launch : training_->launches()) {
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
    return Record().add("launches", all.count).add("kernel_ms", all.ms).add("kernels", rows).text();
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

  std::unique_ptr<NoiseSource> source_;
  std::unique_ptr<Training> training_;
};

}  // namespace gliograd::bench
