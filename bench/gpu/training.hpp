// A network in training on a GPU as the benches time it: each step draws, gathers and augments its
// batch from a set that lies on the GPU, then goes forward, back, and updates by AdamW.
#pragma once
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/gpu/record.hpp"
#include "data/augment_policy.hpp"
#include "data/noise_set.hpp"
#include "engine/device/captured_work.hpp"
#include "engine/device/launch_log.hpp"
#include "engine/ops/augment_cuda.hpp"
#include "engine/ops/softmax_cross_entropy.hpp"
#include "engine/optim/batch_end.hpp"
#include "engine/optim/optimizer.hpp"
#include "kernels/runtime.hpp"
#include "models/catalog.hpp"
#include "models/residual_net.hpp"

namespace gliograd::bench {

/// A pair of timed events on a stream's queue.
class Stopwatch {
 public:
  explicit Stopwatch(const Stream& stream)
      : stream_(stream), begin_(kernels::make_event(true)), end_(kernels::make_event(true)) {}
  ~Stopwatch() {
    kernels::free_event(begin_);
    kernels::free_event(end_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  /// Milliseconds of the device between the first and the last of what `work` queues.
  double ms(const std::function<void()>& work) {
    kernels::record_event(stream_.queue(), begin_);
    work();
    kernels::record_event(stream_.queue(), end_);
    kernels::finish_event(end_);
    return kernels::milliseconds_between(begin_, end_);
  }

 private:
  const Stream& stream_;
  kernels::Event begin_, end_;
};

struct TrainingOptions {
  std::string model = "subtype";  // subtype, subtype-large, resnet18
  int64_t size = 80, batch = 32;
  DType dtype = DType::bf16;
  bool tf32 = false;  // of f32: products are rounded
  bool graph = true;
  bool deterministic = false;
  bool timed_plans = true;
  std::string preset = "light";
  int64_t slices = 256;      // of the set
  int64_t most_steps = 512;  // of one round

  /// The networks see three sequences and the mask; ResNet-18 three sequences, for 1,000 classes.
  bool is_resnet() const { return model == "resnet18"; }
  static TrainingOptions read(Words& words) {
    TrainingOptions o;
    o.model = words.one_of("--model", o.model, {"subtype", "subtype-large", "resnet18"});
    o.size = words.integer("--size", o.size, 16, 512);
    o.batch = words.integer("--batch", o.batch, 1, 1 << 22);
    const std::string dtype = words.one_of("--dtype", "bf16", {"f32", "tf32", "bf16", "f16"});
    o.tf32 = dtype == "tf32";
    o.dtype = dtype == "bf16" ? DType::bf16 : dtype == "f16" ? DType::f16 : DType::f32;
    o.graph = words.one_of("--mode", "graph", {"graph", "eager"}) == "graph";
    o.deterministic = words.one_of("--deterministic", "no", {"yes", "no"}) == "yes";
    o.timed_plans = words.one_of("--plans", "timed", {"timed", "heuristic"}) == "timed";
    o.preset = words.one_of("--preset", o.preset, data::augment_presets());
    o.slices = words.integer("--slices", o.slices, 1, 100'000);
    o.most_steps = words.integer("--most-steps", o.most_steps, 8, 100'000);  // warming up takes 5
    return o;
  }
};

/// The set of a bench, on the host; made once for a size.
class NoiseSource {
 public:
  NoiseSource(int64_t slices, int64_t size)
      : slices_(slices), size_(size), set_(data::noise_set(slices, 16, size)), resident_(set_) {}
  bool serves(const TrainingOptions& o) const { return o.slices == slices_ && o.size == size_; }
  const data::Dataset& set() const { return set_; }
  const ResidentSet& resident() const { return resident_.set(); }

 private:
  int64_t slices_, size_;
  data::Dataset set_;
  data::Resident resident_;
};

class Training {
 public:
  Training(const TrainingOptions& options, const NoiseSource& source)
      : options_(options),
        stream_(Stream::cuda(
            0, {.deterministic = options.deterministic,
                .tf32 = options.tf32,
                .plans = options.timed_plans ? std::make_shared<PlanChoices>() : nullptr,
                .random = {.seed = 1}})),
        set_(*stream_, source.resident()),
        input_(data::input_spec(source.set(), {.mask = options.is_resnet() ? "none" : "channel",
                                               .window = static_cast<int>(options.size)})),
        augment_(data::augment_preset(options.preset)),
        network_(make_network(options, input_.channels(), *stream_)),
        optimizer_(*stream_, {{"all", network_->weights().parameters(), 1, 1e-2}}, {},
                   LearningRates::constant(1e-3, int64_t{1} << 20)) {
    std::vector<double> order, classes;
    for (int64_t i = 0; i < options.batch * options.most_steps; ++i) {
      order.push_back(static_cast<double>(i * 101 % options.slices));
    }
    for (int64_t i = 0; i < options.slices; ++i) classes.push_back(static_cast<double>(i % 2));
    order_ = from_values(*stream_, {static_cast<int64_t>(order.size())}, order, DType::i32);
    classes_ = from_values(*stream_, {options.slices}, classes, DType::i32);
    begin_epoch();
    check_images();
    if (options.graph) work_ = std::make_unique<CapturedWork>(*stream_);
  }

  Stream& stream() { return *stream_; }
  const TrainingOptions& options() const { return options_; }

  /// Draws begin anew, in another epoch. Waits for the work before.
  void begin_epoch() {
    StepState state = stream_->read_state();
    ++state.epoch;
    state.draw = 0;
    state.loss_sum = 0;
    if (options_.dtype == DType::f16) state.loss_scale = 1024;
    stream_->write_state(state);
  }
  /// One step, as graph or eagerly. The first three of a graph are slow.
  void step() {
    if (work_) {
      work_->next([&] { step_eagerly(); });
    } else {
      step_eagerly();
    }
  }

  /// One eager step's launches, with their times; not in a graph.
  std::vector<kernels::RecordedLaunch> launches() {
    begin_epoch();
    LaunchLog log(*stream_);
    step_eagerly();
    return log.take();
  }
  int64_t graph_nodes() const { return work_ ? work_->nodes() : 0; }

  /// The most that lay in tensors, and what was taken from the GPU for it (without CUDA's own).
  int64_t peak_bytes() const {
    return stream_->allocator()->stats().peak_bytes +
           (work_ ? work_->arena().stats().peak_bytes : 0);
  }
  int64_t held_bytes() const {
    return stream_->allocator()->stats().held_bytes +
           (work_ ? work_->arena().stats().held_bytes : 0);
  }
  /// Of some weights: changes where training does anything.
  double weight_norm() {
    double sum = 0;
    for (const Parameter* p : network_->weights().parameters()) {
      if (p->master.size() > 100'000) continue;
      for (const double v : to_values(p->master)) sum += v * v;
    }
    return std::sqrt(sum);
  }

 private:
  static std::unique_ptr<models::Network> make_network(const TrainingOptions& o, int64_t channels,
                                                       Stream& stream) {
    if (o.is_resnet()) {
      return models::make_network("subtype-large", models::resnet18_settings(channels, 1000),
                                  stream);
    }
    return models::make_network(
        o.model, {{"input_channels", std::to_string(channels)}, {"classes", "2"}}, stream);
  }
  Tensor images(int64_t count) {
    return augment_next(*stream_, set_.set(), input_, order_, augment_,
                        {.images = count,
                         .dtype = options_.dtype,
                         .channels = models::image_channels(Device::cuda, input_.channels())})
        .images;
  }
  void step_eagerly() {
    Tape tape(*stream_, options_.dtype);
    const Tensor x = images(options_.batch);
    const Tensor labels = rows_next(*stream_, classes_, order_, options_.batch);
    const Tensor loss =
        softmax_cross_entropy(tape, network_->forward(tape, x, {}, Mode::train), labels);
    tape.backward(loss);
    optimizer_.step();
    end_batch(*stream_, loss, options_.batch);
  }
  // What is timed must be of real images: a bench of zeros would pass every other check.
  void check_images() {
    const std::vector<double> values = to_values(images(std::min<int64_t>(2, options_.batch)));
    double sum = 0, squares = 0;
    for (const double v : values) sum += v, squares += v * v;
    const auto n = static_cast<double>(values.size());
    const double variance = squares / n - sum / n * (sum / n);
    if (!(variance > 0.01)) {
      throw WorkError(concat_text("the images of a batch have variance ", variance));
    }
  }

  TrainingOptions options_;
  std::unique_ptr<Stream> stream_;
  DeviceSet set_;
  InputSpec input_;
  AugmentOptions augment_;
  std::unique_ptr<models::Network> network_;
  Optimizer optimizer_;
  Tensor order_, classes_;
  std::unique_ptr<CapturedWork> work_;
};

}  // namespace gliograd::bench
