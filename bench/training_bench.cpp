// Training throughput on the CPU: images a second of whole steps. A plain program: it stands
// in the build without file libraries too.
//   build/bench/bench_training --size 80 --threads 1 --augmentation light --data yes --json
//
// --data yes is what `crossval` does in a fold: study::Trainer on a prepared set in memory: drawing
// slices, gathering and augmenting them, forward, loss, backward, optimizer. A round is an epoch.
// --data no leaves out the first two: one batch lies in memory, as in bench/peers/subtype_net.py.
// The set is noise; no path's work depends on what it holds. CPU time is that of all threads: on a
// machine with other work it says more than wall time does.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <ctime>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "apps/study/trainer.hpp"
#include "data/noise_set.hpp"
#include "data/sampler.hpp"
#include "engine/core/error.hpp"
#include "engine/device/machine.hpp"
#include "engine/ops/softmax_cross_entropy.hpp"
#include "engine/tensor/cast.hpp"
#include "engine/tensor/layout.hpp"
#include "models/catalog.hpp"

namespace {

using namespace gliograd;

constexpr const char* kHelp =
    "bench_training: images a second of whole training steps on the CPU\n"
    "  --model subtype|subtype-large   default subtype\n"
    "  --size N                        height and width in pixels, default 80\n"
    "  --batch N                       default 32\n"
    "  --dtype f32|bf16                of activations and their gradients, default f32\n"
    "  --threads N                     of the one network, default 1\n"
    "  --data yes|no                   gather each batch from a prepared set; default yes\n"
    "  --augmentation off|light|full   with --data yes; default light\n"
    "  --steps N --rounds N            timed steps a round, rounds; default 20 and 5\n"
    "  --warmup N                      steps before the first round, default 5\n"
    "  --json                          one JSON object in place of text\n"
    "Example: bench_training --size 128 --threads 2 --augmentation full\n";

struct Options {
  std::string model = "subtype";
  std::string augmentation = "light";
  std::string dtype = "f32";
  DType compute() const { return dtype == "bf16" ? DType::bf16 : DType::f32; }
  bool data = true;
  bool json = false;
  bool help = false;
  int size = 80, batch = 32, threads = 1, steps = 20, rounds = 5, warmup = 5;
};

int whole_number(const std::string& name, const std::string& text, int low, int high) {
  int value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc() || stop != end || value < low || value > high) {
    throw Error(concat_text(name, " must be ", low, " to ", high, "; got \"", text, '"'));
  }
  return value;
}

std::string one_of(const std::string& name, const std::string& text,
                   const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), text) != known.end()) return text;
  std::string list;
  for (const std::string& word : known) list += (list.empty() ? "" : ", ") + word;
  throw Error(concat_text(name, " must be one of ", list, "; got \"", text, '"'));
}

Options parse(const std::vector<std::string>& words) {
  Options o;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& name = words[i];
    if (name.rfind("--benchmark_", 0) == 0) continue;  // ./run bench hands them to all programs
    if (name == "--json") {
      o.json = true;
      continue;
    }
    if (name == "--help") {
      o.help = true;
      continue;
    }
    const auto value = [&] {
      if (i + 1 == words.size()) throw Error(name + " needs a value");
      return words[++i];
    };
    if (name == "--model")
      o.model = one_of(name, value(), models::network_names());
    else if (name == "--augmentation")
      o.augmentation = one_of(name, value(), data::augment_presets());
    else if (name == "--data")
      o.data = one_of(name, value(), {"yes", "no"}) == "yes";
    else if (name == "--dtype")
      o.dtype = one_of(name, value(), {"f32", "bf16"});
    else if (name == "--size")
      o.size = whole_number(name, value(), 16, 512);
    else if (name == "--batch")
      o.batch = whole_number(name, value(), 2, 4096);
    else if (name == "--threads")
      o.threads = whole_number(name, value(), 1, 256);
    else if (name == "--steps")
      o.steps = whole_number(name, value(), 1, 10000);
    else if (name == "--rounds")
      o.rounds = whole_number(name, value(), 1, 1000);
    else if (name == "--warmup")
      o.warmup = whole_number(name, value(), 0, 10000);
    else
      throw Error("unknown option " + name + "; see --help");
  }
  if (!o.data) o.augmentation = "off";
  return o;
}

struct Times {
  double wall = 0, cpu = 0;  // seconds
};

template <class Work>
Times timed(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  work();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC};
}

// Epochs of a Trainer, as in a fold of crossval.
std::vector<Times> with_data(const Options& o, Stream& stream) {
  const data::Dataset set = data::noise_set(static_cast<int64_t>(o.steps) * o.batch, 16, o.size);
  std::vector<int32_t> patients, labels;
  for (int32_t p = 0; p < set.patient_count(); ++p) {
    patients.push_back(p);
    labels.push_back(p % 2);
  }
  study::Problem problem;
  problem.set = &set;
  problem.classes = {"rest", "one"};
  for (const data::Slice& slice : set.slices) problem.labels.push_back(labels[slice.patient]);
  problem.steps_per_epoch = o.steps;
  problem.draws = [&](int epoch) {
    return data::epoch_draws(set, patients, labels, {.batch = o.batch, .random = stream.random()},
                             epoch);
  };
  study::TrainSettings settings;
  settings.model = o.model;
  settings.window = o.size;
  settings.batch = o.batch;
  settings.dtype = o.dtype;
  settings.preset = o.augmentation;
  const int warm_epochs = (o.warmup + o.steps - 1) / o.steps;
  settings.epochs = warm_epochs + o.rounds;
  settings.warmup_epochs = 0;
  const study::Place place(settings, set);
  study::Trainer trainer(stream, place, settings, problem, nullptr);
  for (int e = 0; e < warm_epochs; ++e) trainer.train_epoch(nullptr);
  std::vector<Times> rounds;
  for (int r = 0; r < o.rounds; ++r) rounds.push_back(timed([&] { trainer.train_epoch(nullptr); }));
  return rounds;
}

// The same step on one batch that lies in memory.
std::vector<Times> in_memory(const Options& o, Stream& stream) {
  const std::unique_ptr<models::Network> network = models::make_network(
      o.model, {{"input_channels", "4"}, {"classes", "2"}}, stream, DType::f32);
  const int64_t steps = o.warmup + static_cast<int64_t>(o.steps) * o.rounds;
  Optimizer optimizer(stream, {{"all", network->weights().parameters(), 1, 1e-2}}, {},
                      LearningRates::cosine(1e-3, steps, 0));
  Tensor x = empty(stream, {o.batch, o.size, o.size, 4});
  Tensor labels = empty(stream, {o.batch}, DType::i32);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = normal(random);
  for (int64_t i = 0; i < o.batch; ++i) labels.at<int32_t>(i) = static_cast<int32_t>(random() % 2);
  x = cast(x, o.compute());
  double loss = 0;
  const auto run = [&](int count) {
    for (int i = 0; i < count; ++i) {
      Tape tape(stream, o.compute());
      const Tensor logits = network->forward(tape, x, {}, Mode::train);
      const Tensor y = softmax_cross_entropy(tape, logits, labels, {});
      tape.backward(y);
      optimizer.step();
      loss = y.at<float>(0);
    }
  };
  run(o.warmup);
  std::vector<Times> rounds;
  for (int r = 0; r < o.rounds; ++r) rounds.push_back(timed([&] { run(o.steps); }));
  if (!std::isfinite(loss)) throw WorkError("the loss is not finite");
  return rounds;
}

// The value that a share q of the sorted ones lies below, linear between neighbors.
double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

void print(const Options& o, const std::vector<Times>& rounds, Stream& stream) {
  const MachineFacts machine = machine_facts();
  std::vector<double> wall, cpu;
  for (const Times& round : rounds) {
    wall.push_back(o.steps * o.batch / round.wall);
    cpu.push_back(o.steps * o.batch / round.cpu);
  }
  const int64_t peak = stream.allocator()->stats().peak_bytes;
  if (!o.json) {
    std::cout << o.model << ' ' << o.size << "x" << o.size << ", batch " << o.batch << ", "
              << o.dtype << ", " << o.threads << " thread(s), "
              << (o.data ? "augmentation " + o.augmentation : "one batch in memory") << '\n';
    const auto row = [](const char* name, const std::vector<double>& rates) {
      std::cout << "  images / " << name << ": median " << quantile(rates, 0.5) << ", quartiles "
                << quantile(rates, 0.25) << " to " << quantile(rates, 0.75) << '\n';
    };
    row("second", wall);
    row("CPU second", cpu);
    std::cout << "  peak of the arena: " << static_cast<double>(peak >> 10) / 1024 << " MiB\n";
    return;
  }
  const auto numbers = [](const std::vector<double>& values) {
    std::string text;
    for (const double value : values) text += concat_text(text.empty() ? "" : ", ", value);
    return "[" + text + "]";
  };
  const auto rates = [&](const char* name, const std::vector<double>& v) {
    std::cout << ", \"" << name << "\": " << quantile(v, 0.5) << ", \"" << name
              << "_quartiles\": " << numbers({quantile(v, 0.25), quantile(v, 0.75)}) << ", \""
              << name << "_rounds\": " << numbers(v);
  };
  std::cout << "{\"program\": \"gliograd\", \"cpu\": \"" << machine.processor
            << "\", \"onednn\": \"" << onednn_version() << "\", \"model\": \"" << o.model
            << "\", \"batch\": " << o.batch << ", \"size\": " << o.size << ", \"dtype\": \""
            << o.dtype << "\", \"threads\": " << o.threads
            << ", \"data\": " << (o.data ? "true" : "false") << ", \"augmentation\": \""
            << o.augmentation << "\", \"rounds\": " << o.rounds << ", \"steps\": " << o.steps
            << ", \"peak_bytes\": " << peak;
  rates("images_per_second", wall);
  rates("images_per_cpu_second", cpu);
  std::cout << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse({argv + 1, argv + argc});
    if (options.help) {
      std::cout << kHelp;
      return 0;
    }
    const std::unique_ptr<Stream> stream =
        Stream::cpu({.threads = options.threads, .random = {.seed = 1}});
    print(options, options.data ? with_data(options, *stream) : in_memory(options, *stream),
          *stream);
    return 0;
  } catch (const Error& error) {
    std::cerr << "bench_training: " << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "bench_training: " << error.what() << '\n';
    return 1;
  }
}
