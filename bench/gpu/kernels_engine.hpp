// Handwritten kernels with their data in memory, not in the cache: the ops' bench rows at batches
// so large that no tensor of theirs fits there, optimizer, augmentation and sums; and the bytes
// that each launch must move at least over the bandwidth of a copy in the same run.
//
// Some never have so much to do, and are told by their time alone (beyond_caches: false): those
// that join the sums of blocks (the losses', a depthwise convolution's), since the number of blocks
// is bounded; and the labels of a batch. Left out are batch_norm_from_running (some numbers a
// channel, in evaluation), loss_scale and end_batch (one number each), linear_forward and
// linear_backward (heads of a few KB), and the convolutions that stand in where cuDNN has no plan,
// which arithmetic bounds.
//
//   kernels --dtype bf16 --bytes 268435456 --runs 7     a line for each kernel
#pragma once
#include <map>
#include <string>
#include <vector>

#include "apps/study/peaks.hpp"
#include "bench/gpu/engine.hpp"
#include "bench/gpu/meter.hpp"
#include "bench/gpu/training.hpp"
#include "engine/device/launch_log.hpp"
#include "engine/ops/case.hpp"
#include "engine/optim/optimizer.hpp"
#include "engine/tensor/cast.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/runtime.hpp"

namespace gliograd::bench {

class KernelsEngine final : public Engine {
 public:
  KernelsEngine() : Engine({{"kernels", [this](const auto& words) { return kernels(words); }}}) {}

 private:
  struct Timed {
    std::string row;
    kernels::Cost cost;
    std::vector<double> ms;
  };

  std::string kernels(const std::vector<std::string>& given) {
    Words words(given);
    const std::string type = words.one_of("--dtype", "bf16", {"f32", "bf16", "f16"});
    const int64_t bytes = words.integer("--bytes", int64_t{256} << 20, 1, int64_t{1} << 36);
    const int64_t runs = words.integer("--runs", 7, 1, 1000);
    const bool measured = words.one_of("--copy", "yes", {"yes", "no"}) == "yes";
    words.finish();
    const DType dtype = type == "bf16" ? DType::bf16 : type == "f16" ? DType::f16 : DType::f32;
    const std::unique_ptr<Stream> stream = Stream::cuda(0, {.random = {.seed = 1}});
    const double copy = measured ? study::measure_copy(*stream) : NAN;
    times_.clear();
    left_out_.clear();
    for (const Case& c : all_cases()) {
      for (const CaseRow& row : c.rows) {
        if (row.bench && row.inputs[0].batch) case_row(*stream, c, row, dtype, bytes, runs);
      }
    }
    optimizer(*stream, dtype, bytes, runs);
    augmentation(*stream, dtype, bytes, runs);
    sums(*stream, dtype, bytes, runs);
    std::vector<Record> rows;
    for (const auto& [name, timed] : times_) {
      if (timed.ms.empty()) continue;  // it moves nothing
      const double q1 = quantile(timed.ms, 0.25), q2 = quantile(timed.ms, 0.5);
      const double gb_s = 1e-6 * timed.cost.bytes / q2;
      const bool large = timed.cost.bytes >= 0.25 * static_cast<double>(bytes);
      rows.push_back(Record()
                         .add("kernel", name)
                         .add("row", timed.row)
                         .add("bytes", timed.cost.bytes)
                         .add("ops", timed.cost.ops)
                         .add("ms", std::vector<double>{q1, q2, quantile(timed.ms, 0.75)})
                         .add("beyond_caches", large)
                         .add("gb_s", gb_s)
                         .add("of_copy", large ? gb_s / copy : NAN));
    }
    return Record()
        .add("device", kernels::device_facts(0).name)
        .add("dtype", type)
        .add("copy_gb_s", copy)
        .add("runs", runs)
        .add("kernels", rows)
        .add("left_out", left_out_)
        .add("gpu", meter_.read().record())
        .text();
  }

  // The row with so many images that its first input has at least `bytes`.
  static CaseRow scaled(CaseRow row, DType dtype, int64_t bytes) {
    const Shape x = row.inputs[0].shape;
    const int64_t one = x.size() / x[0] * size_of(dtype);
    const int64_t batch = std::max<int64_t>(1, (bytes + one - 1) / one);
    for (CaseInput& input : row.inputs) {
      if (input.batch) input.shape = input.shape.with(0, input.shape[0] * batch / x[0]);
    }
    return row;
  }

  void case_row(Stream& stream, const Case& c, const CaseRow& of, DType dtype, int64_t bytes,
                int64_t runs) {
    const CaseRow row = scaled(of, dtype, bytes);
    try {
      std::vector<Tensor> inputs = case_inputs(row, stream, dtype, 1);
      const std::string name =
          c.name + ", " + row.label + ", batch " + std::to_string(row.inputs[0].shape[0]);
      LaunchLog log(stream);
      for (int64_t run = 0; run <= runs; ++run) {
        Tape tape(stream, dtype);
        std::vector<Tensor> watched = inputs;
        for (size_t i = 0; i < watched.size(); ++i) {
          if (row.inputs[i].differentiable) watched[i] = tape.watch(watched[i]);
        }
        const Tensor y = row.op(tape, watched);
        if (y.variable != 0) tape.backward(y, y.detached());
        take(log, name, run > 0);
      }
    } catch (const WorkError& error) {  // no room for it: the others are timed all the same
      left_out_.push_back(c.name + ", " + of.label + ": " + error.what());
    }
  }

  // One parameter of `bytes` in f32 and its average, as the last step of a training step.
  void optimizer(Stream& stream, DType dtype, int64_t bytes, int64_t runs) {
    const int64_t count = std::max<int64_t>(1, bytes / 4);
    Parameter weights("weights", zeros(stream, {count}));
    weights.gradient = zeros(stream, {count});
    Optimizer steps(stream, {{"all", {&weights}, 1, 0.01}}, {.clip_norm = 1, .ema_decay = 0.9},
                    LearningRates::constant(1e-3, runs + 1));
    Tensor narrow = empty(stream, {count}, dtype);
    fill_zero(narrow);
    LaunchLog log(stream);
    for (int64_t run = 0; run <= runs; ++run) {
      if (dtype != DType::f32) {
        Tape tape = Tape::off(stream, dtype);
        weights.on(tape);  // a copy that the optimizer writes
      }
      std::vector<Transfer> gradients{{weights.gradient, narrow, false}};
      transfer_all(gradients);
      weights.has_gradient = true;
      steps.step();
      steps.swap_in_ema();
      steps.swap_out_ema();
      take(log, "AdamW of " + std::to_string(count) + " weights", run > 0);
    }
  }

  // A batch of `bytes`, and the labels of its slices.
  void augmentation(Stream& stream, DType dtype, int64_t bytes, int64_t runs) {
    const int64_t size = bytes < (1 << 20) ? 16 : 128, slices = bytes < (1 << 20) ? 3 : 256;
    const NoiseSource source(slices, size);
    const DeviceSet set(stream, source.resident());
    const InputSpec input = data::input_spec(source.set(), {.window = static_cast<int>(size)});
    const int64_t channels = models::image_channels(Device::cuda, input.channels());
    const int64_t batch = std::max<int64_t>(1, bytes / (size * size * channels * size_of(dtype)));
    std::vector<double> draws;
    for (int64_t i = 0; i < batch; ++i) draws.push_back(static_cast<double>(i * 101 % slices));
    const Tensor order = from_values(stream, {batch}, draws, DType::i32);
    const Tensor labels = from_values(stream, {slices}, std::vector<double>(slices), DType::i32);
    stream.write_state({});
    LaunchLog log(stream);
    for (int64_t run = 0; run <= runs; ++run) {
      augment_next(stream, set.set(), input, order, data::augment_preset("light"),
                   {.images = batch, .dtype = dtype, .channels = channels});
      rows_next(stream, labels, order, batch);
      take(log, concat_text("light, ", size, "x", size, ", batch ", batch), run > 0);
    }
  }

  // What no case's bench row launches: a tensor cast to another type, added to one of it as
  // gradients are, and a bias behind a product whose plan adds none.
  void sums(Stream& stream, DType dtype, int64_t bytes, int64_t runs) {
    constexpr int64_t kChannels = 512;
    const int64_t rows = std::max<int64_t>(1, bytes / (kChannels * size_of(dtype)));
    const DType other = dtype == DType::f32 ? DType::bf16 : DType::f32;
    const Tensor x = empty(stream, {rows, kChannels}, dtype);
    const Tensor bias = empty(stream, {kChannels}, dtype);
    Tensor sum = empty(stream, x.shape, other);
    for (Tensor one : {x, bias, sum}) fill_zero(one);
    LaunchLog log(stream);
    for (int64_t run = 0; run <= runs; ++run) {
      copy_into(sum, x);
      add_into(sum, x);
      kernels::add_to_rows(stream.queue(), dtype, rows, kChannels, bias.raw(), false, x.raw());
      take(log, concat_text(rows, " rows of ", kChannels), run > 0);
    }
  }

  // The launches of one run. Of a kernel that several rows launch, the one that moves the most
  // counts.
  void take(LaunchLog& log, const std::string& row, bool keep) {
    std::map<std::string, std::pair<kernels::Cost, double>> heaviest;
    for (const kernels::RecordedLaunch& launch : log.take()) {
      if (!keep || launch.grid[0] == 0) continue;
      auto& [cost, ms] = heaviest[launch.name];
      if (launch.cost.bytes > cost.bytes) cost = launch.cost, ms = launch.ms;
    }
    for (const auto& [name, one] : heaviest) {
      Timed& timed = times_[name];
      if (timed.row != row && one.first.bytes > timed.cost.bytes) timed = {row, one.first, {}};
      if (timed.row == row) timed.ms.push_back(one.second);
    }
  }

  Meter meter_;
  std::map<std::string, Timed> times_;
  std::vector<std::string> left_out_;
};

}  // namespace gliograd::bench
