#include "apps/study/profile.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "apps/study/batches.hpp"
#include "apps/study/bootstrap.hpp"
#include "apps/study/peaks.hpp"
#include "data/augment_policy.hpp"
#include "data/noise_set.hpp"
#include "engine/autograd/op_range.hpp"
#include "engine/core/error.hpp"
#include "engine/device/captured_work.hpp"
#include "engine/device/fallbacks.hpp"
#include "engine/device/machine.hpp"
#include "engine/ops/augment_cuda.hpp"
#include "engine/ops/softmax_cross_entropy.hpp"
#include "engine/optim/batch_end.hpp"
#include "engine/optim/optimizer.hpp"
#include "engine/tensor/cast.hpp"
#include "engine/tensor/layout.hpp"
#include "models/catalog.hpp"

namespace gliograd::study {
namespace {

using kernels::Cost;
using kernels::RecordedLaunch;
using Clock = std::chrono::steady_clock;

double ms_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// ---- rows -------------------------------------------------------------------------------------

// Lays each moment of a step to the innermost thing that is under way. What happens in a step, and
// in which order, is the same in all of them, so a row is known by its number.
class Watch final : public TapeObserver {
 public:
  explicit Watch(Stream& stream) : stream_(stream) {
    if (stream.device() == Device::cuda) log_ = std::make_unique<LaunchLog>(stream);
  }

  /// Runs `work` as a row.
  template <class Work>
  void section(const char* pass, const char* op, const Work& work) {
    open(pass, op);
    work();
    close();
  }
  /// Runs a step; with `keep` its times are kept.
  template <class Work>
  void step(bool keep, const Work& work) {
    next_ = 0;
    nodes_.clear();
    events_.clear();
    begin_ = Clock::now();
    for (Line& line : lines_) line.now = 0;
    work();
    if (log_) {
      take_launches(keep);
      return;
    }
    if (!keep) return;
    steps_.push_back(ms_between(begin_, Clock::now()));
    for (Line& line : lines_) line.ms.push_back(line.now);
  }
  /// What the newest row moves and computes, where the caller knows it.
  void set_cost(const Cost& cost) {
    lines_[next_ - 1].row.cost = cost;
    lines_[next_ - 1].row.by = "own";
  }

  void finish(Profile& profile) {
    profile.step_ms = timing_of(steps_);
    profile.idle_ms = timing_of(idle_);
    profile.trace = std::move(events_);
    for (Line& line : lines_) {
      ProfileRow& row = line.row;
      row.ms = timing_of(line.ms);
      if (log_) {
        add_launches(line);
        if (row.launches.empty()) continue;  // an op that had nothing to do
        profile.launches += static_cast<int64_t>(row.launches.size());
      }
      profile.rows.push_back(std::move(row));
    }
    const auto rank = [](const ProfileRow& row) {
      return row.pass == "input" ? 0 : row.pass == "forward" ? 1 : row.pass == "backward" ? 2 : 3;
    };
    std::stable_sort(profile.rows.begin(), profile.rows.end(),
                     [&](const ProfileRow& a, const ProfileRow& b) { return rank(a) < rank(b); });
  }

  static constexpr const char* kBetween = "between ops";

  // ---- TapeObserver
  void forward_begins(const char* op) override { open("forward", op); }
  void forward_ends() override { close(); }
  void recorded(const Node& node, const Tensor& y, const std::vector<Tensor>& inputs) override {
    const size_t at = stack_.back().line;
    nodes_.push_back({at, node.saved_bytes(), {}});
    std::vector<bool> needs;
    for (const Tensor& x : inputs) needs.push_back(x.variable != 0);
    const OpFacts facts = node.facts(stream_, needs);
    nodes_.back().facts = facts;
    ProfileRow& row = lines_[at].row;
    row.shape = text_of(y.shape);
    row.saved_bytes = node.saved_bytes();
    row.by = facts.forward_by;
    row.cost = {.bytes = static_cast<double>(y.bytes()), .ops = facts.forward_ops};
    for (const Tensor& x : inputs) {
      row.cost.bytes += static_cast<double>(x.bytes());
      if (x.parameter != nullptr && row.layer.empty()) {
        row.layer = x.parameter->name.substr(0, x.parameter->name.rfind('.'));
      }
    }
  }
  void backward_begins(size_t node) override {
    open("backward", lines_[nodes_[node].line].row.op.c_str());
  }
  void backward_ends(size_t node, const Tensor& dy, const std::vector<Tensor>& gradients) override {
    const NodeFacts& of = nodes_[node];
    ProfileRow& row = lines_[stack_.back().line].row;
    row.layer = lines_[of.line].row.layer;
    row.shape = lines_[of.line].row.shape;
    row.by = of.facts.backward_by;
    row.cost = {.bytes = static_cast<double>(dy.bytes() + of.saved_bytes),
                .ops = of.facts.backward_ops};
    bool handed_on = of.saved_bytes == 0;  // dy itself is the gradient: nothing moves
    for (const Tensor& gradient : gradients) {
      if (!gradient.defined()) continue;
      row.cost.bytes += static_cast<double>(gradient.bytes());
      handed_on = handed_on && gradient.storage() == dy.storage();
    }
    if (handed_on) row.cost.bytes = 0;
    close();
  }

 private:
  struct Line {
    ProfileRow row;
    std::string tag;  // "#3": names it among a GPU's ranges
    double now = 0;   // ms in the step under way
    std::vector<double> ms;
    std::vector<RecordedLaunch> launches;        // of the newest step
    std::vector<std::vector<double>> launch_ms;  // of each of them
  };
  struct Open {
    size_t line;
    Clock::time_point begin;
    std::unique_ptr<OpRange> range;
  };
  struct NodeFacts {
    size_t line;
    int64_t saved_bytes;
    OpFacts facts;
  };

  void open(const char* pass, const char* op) {
    const Clock::time_point now = Clock::now();
    if (!stack_.empty()) lines_[stack_.back().line].now += ms_between(last_, now);
    if (next_ == lines_.size()) {
      lines_.emplace_back();
      lines_.back().row.pass = pass;
      lines_.back().row.op = op;
      lines_.back().tag = concat_text('#', next_);
    }
    GG_CHECK(lines_[next_].row.op == op, "profile: steps differ: ", lines_[next_].row.op,
             " was here, now it is ", op);
    stack_.push_back({next_, now, nullptr});
    if (log_) {
      stack_.back().range = std::make_unique<OpRange>(stream_, op, lines_[next_].tag.c_str());
    }
    ++next_;
    last_ = Clock::now();
  }
  void close() {
    const Clock::time_point now = Clock::now();
    Open& top = stack_.back();
    lines_[top.line].now += ms_between(last_, now);
    const ProfileRow& row = lines_[top.line].row;
    events_.push_back({.name = row.layer.empty() ? row.op : row.op + " " + row.layer,
                       .within = row.pass,
                       .begin_ms = ms_between(begin_, top.begin),
                       .ms = ms_between(top.begin, now),
                       .cost = row.cost});
    stack_.pop_back();
    last_ = Clock::now();
  }

  // The row that a launch's ranges name: the innermost.
  Line& line_of(const RecordedLaunch& launch) {
    const size_t at = launch.range.rfind('#');
    GG_CHECK(at != std::string::npos, "profile: ", launch.name, " belongs to no part of the step");
    return lines_[std::stoul(launch.range.substr(at + 1))];
  }
  void take_launches(bool keep) {
    const std::vector<RecordedLaunch> all = log_->take();
    if (!keep) return;
    for (Line& line : lines_) {
      line.launches.clear();
      line.now = 0;
    }
    for (const RecordedLaunch& launch : all) {
      Line& line = line_of(launch);
      line.now += launch.ms;
      line.launches.push_back(launch);
      const size_t count = line.launches.size();
      if (line.launch_ms.size() < count) line.launch_ms.resize(count);
      line.launch_ms[count - 1].push_back(launch.ms);
      events_.push_back({launch.name, line.row.op + " " + line.row.layer, true,
                         launch.begin_ms - all.front().begin_ms, launch.ms, launch.cost});
    }
    for (Line& line : lines_) line.ms.push_back(line.now);
    steps_.push_back(all.back().begin_ms + all.back().ms - all.front().begin_ms);
    double busy = 0;
    for (const RecordedLaunch& launch : all) busy += launch.ms;
    idle_.push_back(std::max(0.0, steps_.back() - busy));
  }
  void add_launches(Line& line) const {
    ProfileRow& row = line.row;
    row.cost = {};
    row.by.clear();
    for (size_t i = 0; i < line.launches.size(); ++i) {
      const RecordedLaunch& launch = line.launches[i];
      row.cost.bytes += launch.cost.bytes;
      row.cost.ops += launch.cost.ops;
      if (row.by.find(launch.name) == std::string::npos) {
        row.by += (row.by.empty() ? "" : ", ") + launch.name;
      }
      row.launches.push_back({launch.name, shape_of(launch), launch.cost, launch.kernel,
                              timing_of(line.launch_ms[i])});
    }
  }

  Stream& stream_;
  std::unique_ptr<LaunchLog> log_;  // on a GPU
  std::deque<Line> lines_;          // a deque: tags stay where they are
  size_t next_ = 0;                 // row that is opened next
  std::vector<Open> stack_;
  std::vector<NodeFacts> nodes_;  // of the step under way
  std::vector<double> steps_;     // ms
  std::vector<double> idle_;      // ms, on a GPU
  std::vector<TraceEvent> events_;
  Clock::time_point begin_, last_;
};

// ---- the step ---------------------------------------------------------------------------------

// A network in training on noise.
class Step {
 public:
  Step(Stream& stream, const ProfileOptions& o, DType dtype)
      : stream_(stream),
        options_(o),
        dtype_(dtype),
        set_(data::noise_set(o.batch, 1, o.size)),
        resident_(set_),
        input_(data::input_spec(set_, {.window = o.size})),
        network_(models::make_network(
            o.model, {{"input_channels", std::to_string(input_.channels())}, {"classes", "2"}},
            stream, DType::f32)),
        optimizer_(stream, {{"all", network_->weights().parameters(), 1, 1e-2}}, {},
                   LearningRates::cosine(1e-3, 2 * (o.warmup + o.steps) + 4, 0)) {
    GG_CHECK(o.size >= network_->smallest_size(), "--size ", o.size, ": ", o.model,
             " needs at least ", network_->smallest_size(), " pixels");
    if (stream.device() == Device::cuda) {
      there_ = std::make_unique<DeviceSet>(stream, resident_.set());
    }
    const int64_t steps = 2 * (o.warmup + o.steps) + 4, draws = steps * o.batch;
    BatchSource source;
    source.set = there_ ? there_->set() : resident_.set();
    source.input = input_;
    source.augment = data::augment_preset(o.preset);
    for (int32_t n = 0; n < o.batch; ++n) source.labels.push_back(n % 2);
    source.dtype = dtype;
    batches_ = std::make_unique<Batches>(stream, std::move(source), o.batch, draws);
    std::vector<int32_t> order;
    for (int64_t i = 0; i < draws; ++i) order.push_back(static_cast<int32_t>(i % o.batch));
    stream.write_state({});
    batches_->begin_epoch(order);
  }

  /// With a watch, row by row.
  void run(Watch* watch) {
    const auto section = [&](const char* pass, const char* op, const auto& work, Cost cost = {}) {
      if (watch == nullptr) return work();
      watch->section(pass, op, work);
      if (cost.bytes > 0) watch->set_cost(cost);
    };
    Batch batch;
    section(
        "input", "gather and augment", [&] { batch = batches_->next(); }, input_cost());
    Tape tape(stream_, dtype_);
    if (watch != nullptr) tape.observe(*watch);
    section("forward", Watch::kBetween, [&] {
      loss_ = softmax_cross_entropy(tape, network_->forward(tape, batch.images, {}, Mode::train),
                                    batch.labels);
    });
    batch = {};
    section("backward", "add and hand over gradients", [&] { tape.backward(loss_); });
    section(
        "update", "optimizer", [&] { optimizer_.step(); }, update_cost());
    section("update", "end of the batch", [&] { end_batch(stream_, loss_, options_.batch); });
  }
  double loss() const { return to_values(loss_)[0]; }

 private:
  // Bytes of the window in, f32 out; eight operations to interpolate a value.
  Cost input_cost() const {
    const double values = 1.0 * options_.batch * options_.size * options_.size * input_.channels();
    return {.bytes = 5 * values, .ops = 8 * values};
  }
  // AdamW: the gradient for its norm; gradient, weight and two moments, of which three are written.
  Cost update_cost() const {
    const auto weights = static_cast<double>(network_->weights().parameter_count());
    return {.bytes = 4 * 8 * weights, .ops = 16 * weights};
  }

  Stream& stream_;
  ProfileOptions options_;
  DType dtype_;
  data::Dataset set_;
  data::Resident resident_;
  InputSpec input_;
  std::unique_ptr<models::Network> network_;
  Optimizer optimizer_;
  std::unique_ptr<DeviceSet> there_;
  std::unique_ptr<Batches> batches_;
  Tensor loss_;
};

DType checked_type(const ProfileOptions& o) {
  const auto range = [](const char* name, int value, int low, int high) {
    GG_CHECK(value >= low && value <= high, name, " must be ", low, " to ", high, "; got ", value);
  };
  range("--size", o.size, 8, 1024);
  range("--batch", o.batch, 2, 4096);
  range("--threads", o.threads, 1, 4096);
  range("--steps", o.steps, 3, 10000);
  range("--warmup", o.warmup, 2, 10000);
  if (o.dtype == "f32" || (o.device == Device::cuda && o.dtype == "tf32")) return DType::f32;
  if (o.dtype == "bf16") return DType::bf16;
  if (o.device == Device::cuda && o.dtype == "f16") return DType::f16;
  throw Error(concat_text("--dtype on the ", name_of(o.device), " must be ",
                          o.device == Device::cuda ? "f32, tf32, bf16 or f16" : "f32 or bf16",
                          "; got \"", o.dtype, '"'));
}

}  // namespace

Timing timing_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  return {quantile(values, 0.5), quantile(values, 0.25), quantile(values, 0.75)};
}

std::string text_of(const Shape& shape) {
  std::string text;
  for (int i = 0; i < shape.rank(); ++i) text += (i > 0 ? "x" : "") + std::to_string(shape[i]);
  return text;
}

std::string shape_of(const RecordedLaunch& launch) {
  if (launch.grid[0] == 0) return "";
  const auto text = [](const uint32_t(&d)[3]) {
    return d[2] > 1   ? concat_text(d[0], 'x', d[1], 'x', d[2])
           : d[1] > 1 ? concat_text(d[0], 'x', d[1])
                      : concat_text(d[0]);
  };
  return concat_text(text(launch.grid), " blocks of ", text(launch.block));
}

double Profile::peak_share(const Cost& cost, double ms) const {
  if (copy_gb_s <= 0 || product_gflop_s <= 0 || ms <= 0) return 0;
  return 1e-6 * std::max(cost.bytes / copy_gb_s, cost.ops / product_gflop_s) / ms;
}

bool Profile::computes(const Cost& cost) const {
  return cost.ops * copy_gb_s > cost.bytes * product_gflop_s;
}

Profile profile_step(const ProfileOptions& options) {
  const DType dtype = checked_type(options);
  const StreamOptions on{.threads = options.threads,
                         .tf32 = options.dtype == "tf32",
                         .plans = std::make_shared<PlanChoices>(),
                         .random = {.seed = 1}};
  const std::unique_ptr<Stream> stream =
      options.device == Device::cuda ? Stream::cuda(0, on) : Stream::cpu(on);
  Profile profile;
  profile.options = options;
  profile.machine = options.device == Device::cuda ? gpu_name() : machine_facts().processor;
  profile.libraries = onednn_version().empty() ? "no oneDNN" : "oneDNN " + onednn_version();
  {
    Step step(*stream, options, dtype);
    Watch watch(*stream);
    LayoutConversions before;
    for (int i = 0; i < options.warmup + options.steps; ++i) {
      if (i == options.warmup) before = layout_conversions();
      watch.step(i >= options.warmup, [&] { step.run(&watch); });
    }
    const LayoutConversions after = layout_conversions();
    profile.conversions = static_cast<double>(after.count - before.count) / options.steps;
    profile.conversion_bytes = static_cast<double>(after.bytes - before.bytes) / options.steps;
    watch.finish(profile);
    profile.peak_bytes = stream->allocator()->stats().peak_bytes;
    profile.fallbacks = stream->local<Fallbacks>().counts();
    if (!std::isfinite(step.loss())) throw WorkError("profile: the loss is not finite");
  }
  if (options.device == Device::cuda) {
    Step step(*stream, options, dtype);
    CapturedWork work(*stream);
    for (int i = 0; i < 2; ++i) work.run([&] { step.run(nullptr); });
    work.capture([&] { step.run(nullptr); });
    LaunchLog log(*stream);
    for (int i = 0; i < options.warmup + options.steps; ++i) work.replay();
    std::vector<double> ms;
    for (const RecordedLaunch& launch : log.take()) ms.push_back(launch.ms);
    profile.graph_ms = timing_of({ms.begin() + options.warmup, ms.end()});
  }
  if (options.peaks) {
    profile.copy_gb_s = measure_copy(*stream);
    profile.product_gflop_s = measure_product(*stream, dtype);
  }
  return profile;
}

}  // namespace gliograd::study
