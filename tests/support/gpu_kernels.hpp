// Every handwritten kernel run at least once, at odd sizes, in each float type that it serves:
// small enough for a checker that watches each access (compute-sanitizer, the emulator of
// tests/simt). What comes out is compared with the CPU.
#pragma once
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "engine/device/launch_log.hpp"
#include "engine/ops/augment_cuda.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/elementwise.hpp"
#include "engine/ops/linear.hpp"
#include "engine/optim/batch_end.hpp"
#include "engine/optim/optimizer.hpp"
#include "engine/tensor/cast.hpp"
#include "kernels/elementwise.hpp"
#include "tests/simt/toy_set.hpp"

namespace gliograd::test {

class EveryKernel {
 public:
  /// Both have the same random key.
  EveryKernel(Stream& gpu, Stream& cpu) : gpu_(gpu), cpu_(cpu), log_(gpu) {}

  void run() {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      cases(dtype);
      batches(dtype);
      sums(dtype);
      biases(dtype);
      not_a_number(dtype);
      transfers(dtype);
    }
    using Kind = OptimizerOptions::Kind;
    optimizer({.kind = Kind::sgd, .momentum = 0, .clip_norm = 1});
    optimizer({.kind = Kind::sgd, .nesterov = true, .ema_decay = 0.7});
    optimizer({.kind = Kind::adam, .clip_norm = 0.5});
    optimizer({.kind = Kind::adamw, .clip_norm = 2, .ema_decay = 0.9});
    for (const kernels::RecordedLaunch& launch : log_.take()) names_.insert(launch.name);
  }

  /// Of all that ran: kernels, copies, fills.
  const std::set<std::string>& names() const { return names_; }
  int compared() const { return compared_; }
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  void check(const std::string& what, double error, double tolerance) {
    ++compared_;
    if (error <= tolerance) return;  // false for NaN
    failures_.push_back(concat_text(what, ": error ", error, ", tolerance ", tolerance));
  }
  /// The largest difference of two tensors, of either device.
  void near(const std::string& what, const Tensor& a, const Tensor& b, double tolerance) {
    const std::vector<double> x = to_values(a), y = to_values(b);
    double worst = x.size() == y.size() && !x.empty() ? 0 : NAN;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      const double difference = std::abs(x[i] - y[i]);
      if (!(difference <= worst)) worst = difference;
    }
    check(what, worst, tolerance);
  }

  void cases(DType dtype) {
    for (const Case& c : all_cases()) {
      for (const CaseRow& row : c.rows) {
        if (row.bench) continue;  // of real size
        for (const CaseOutcome& o : compare_paths(c, row, gpu_, 1, dtype)) {
          check(concat_text(o.where, ", ", dtype), o.error, o.tolerance);
        }
      }
    }
  }

  static AugmentOptions everything() {
    AugmentOptions o;
    o.flip_y_probability = o.flip_x_probability = o.quarter_turn_probability = 0.5f;
    o.rotation_probability = 0.9f, o.rotation_degrees = 30;
    o.elastic_probability = 0.9f, o.elastic_pixels = 3, o.elastic_spacing_pixels = 7;
    o.gamma_probability = 0.9f, o.gamma_percent = 30;
    o.bias_probability = 0.9f, o.bias_percent = 30;
    o.rician_probability = 0.5f, o.rician_percent = 10;
    o.noise_probability = 0.5f, o.noise_percent = 10;
    o.blur_probability = 0.9f, o.blur_pixels = 1.5f;
    o.low_resolution_probability = 0.9f, o.low_resolution_factor = 2.5f;
    o.cutout_probability = 0.4f, o.cutout_percent = 30;
    o.drop_probability = 0.2f;
    return o;
  }

  void batches(DType dtype) {
    const simt::Toy toy(5, 37, 45, 3, 17);
    const DeviceSet there(gpu_, toy.set);
    const InputSpec input = simt::input_of(3, MaskUse::channel, 29, 31);
    const std::vector<int32_t> slices = {4, 0, 3};
    const std::vector<double> labels = {1, 0, 1, 1, 0};
    gpu_.write_state({});
    const Tensor order = from_values(gpu_, {3}, {slices.begin(), slices.end()}, DType::i32);
    const Tensor table = from_values(gpu_, {5}, labels, DType::i32);
    const SampleBatch got =
        augment_next(gpu_, there.set(), input, order, everything(),
                     {.images = 3, .dtype = dtype, .channels = 4, .with_masks = WithMasks::yes});
    const SampleBatch wanted =
        augment(cpu_, toy.set, input, slices, everything(), {}, WithMasks::yes);
    const std::string type = name_of(dtype);
    near("augment_next, " + type, got.images, cast(wanted.images, dtype), 0);
    near("augment_next, masks, " + type, got.masks, wanted.masks, 0);
    near("rows_next", rows_next(gpu_, table, order, 3),
         from_values(cpu_, {3}, {labels[4], labels[0], labels[3]}, DType::i32), 0);
  }

  // Gradients that add up, from a loss scale in the device's memory, and the end of a batch.
  void sums(DType dtype) {
    StepState state;
    state.loss_scale = 64;
    gpu_.write_state(state);
    Tape tape(gpu_, dtype);
    const Tensor x = tape.watch(from_values(gpu_, {1}, {3}, dtype));
    const Tensor y = add(tape, relu(tape, x), x);
    if (dtype == DType::f32) {
      tape.backward(y);  // from the loss scale
    } else {
      tape.backward(y, from_values(gpu_, {1}, {64}, dtype));
    }
    near("two gradients added", tape.gradient(x), from_values(cpu_, {1}, {128}), 0);
    const Tensor loss = cast(y, DType::f32);
    end_batch(gpu_, loss, 5);
    check("loss_sum", std::abs(gpu_.read_state().loss_sum - 30), 0);
  }

  // Behind products whose plan adds none. Small whole numbers: exact in every type.
  void biases(DType dtype) {
    constexpr int64_t kRows = 33;
    for (const int64_t channels : {1, 7, 8, 31, 32, 33, 257, 264}) {
      std::vector<double> y, bias, sums, positive;
      for (int64_t c = 0; c < channels; ++c) bias.push_back(static_cast<double>(c * 5 % 23) - 11);
      for (int64_t i = 0; i < kRows * channels; ++i) {
        y.push_back(static_cast<double>((i * 7 + channels) % 61) - 30);
        sums.push_back(y.back() + bias[static_cast<size_t>(i % channels)]);
        positive.push_back(std::max(0.0, sums.back()));
      }
      const Tensor added = from_values(gpu_, {channels}, bias, dtype);
      for (const bool relu : {false, true}) {
        const Tensor there = from_values(gpu_, {kRows, channels}, y, dtype);
        kernels::add_to_rows(gpu_.queue(), dtype, kRows, channels, added.raw(), relu, there.raw());
        near(concat_text("add_to_rows, ", dtype, ", ", channels, relu ? ", ReLU" : ""), there,
             from_values(cpu_, {kRows, channels}, relu ? positive : sums), 0);
      }
    }
  }

  // Through the ReLU of a product, be it the library's or our own: to its row, and no other.
  void not_a_number(DType dtype) {
    constexpr int64_t kIn = 64;
    for (const int64_t out : {64, 5}) {  // cuBLASLt's, and the own kernels'
      for (const bool bias : {true, false}) {
        std::vector<double> x(2 * kIn, 1);
        x[0] = NAN;
        const std::vector<double> w(static_cast<size_t>(out * kIn), -1);
        Tape tape = Tape::off(gpu_, dtype);
        const Tensor added =
            bias
                ? from_values(gpu_, {out}, std::vector<double>(static_cast<size_t>(out), 70), dtype)
                : Tensor{};
        const std::vector<double> y =
            to_values(linear(tape, from_values(gpu_, {2, kIn}, x, dtype),
                             from_values(gpu_, {out, kIn}, w, dtype), added, Activation::relu));
        int64_t wrong = 0;
        for (int64_t o = 0; o < out; ++o) {
          const double other = y[static_cast<size_t>(out + o)];
          if (!std::isnan(y[static_cast<size_t>(o)]) || other != (bias ? 6 : 0)) ++wrong;
        }
        check(concat_text("NaN through linear and ReLU, ", dtype, ", ", out, bias ? ", bias" : ""),
              static_cast<double>(wrong), 0);
      }
    }
  }

  // What hands the gradients of a step over.
  void transfers(DType dtype) {
    std::vector<Transfer> there, here;
    for (const int64_t count : {1, 7, 33, 4097, 9001}) {
      for (const bool adds : {false, true}) {
        std::vector<double> from, to;
        for (int64_t i = 0; i < count; ++i) {
          from.push_back(static_cast<double>((i * 7 + count) % 61) - 30);
          to.push_back(static_cast<double>(i % 17));
        }
        for (auto [list, stream] : {std::pair{&there, &gpu_}, {&here, &cpu_}}) {
          list->push_back({from_values(*stream, {count}, to),
                           from_values(*stream, {count}, from, dtype), adds});
        }
      }
    }
    transfer_all(there);
    transfer_all(here);
    for (size_t i = 0; i < there.size(); ++i) {
      near(concat_text("transfer_all, ", dtype, ", ", i), there[i].to, here[i].to, 0);
    }
  }

  void optimizer(const OptimizerOptions& options) {
    std::vector<std::vector<Tensor>> results;
    const DType half = options.clip_norm > 0 ? DType::bf16 : DType::f16;
    for (Stream* stream : {&gpu_, &cpu_}) {
      stream->write_state({});
      std::vector<std::unique_ptr<Parameter>> parameters;
      std::vector<Parameter*> all;
      for (const int64_t count : {1, 7, 33, 4097}) {
        std::vector<double> values, gradient;
        for (int64_t i = 0; i < count; ++i) {
          values.push_back(std::sin(static_cast<double>(i + count)));
          gradient.push_back(std::cos(static_cast<double>(3 * i + count)));
        }
        parameters.push_back(std::make_unique<Parameter>(concat_text("p", count),
                                                         from_values(*stream, {count}, values)));
        parameters.back()->gradient = from_values(*stream, {count}, gradient);
        all.push_back(parameters.back().get());
      }
      Optimizer steps(*stream, {{"all", all, 1, 0.05}}, options, LearningRates::constant(0.01, 3));
      for (int i = 0; i < 3; ++i) {
        if (i == 1) {  // from here on the weights have copies
          Tape tape = Tape::off(*stream, half);
          for (Parameter* p : all) p->on(tape);
        }
        for (Parameter* p : all) p->has_gradient = true;
        steps.step();
      }
      if (options.ema_decay > 0) steps.swap_in_ema();
      std::vector<Tensor>& result = results.emplace_back();
      for (const Parameter* p : all) result.push_back(copy_to(cpu_, p->master));
      if (stream == &cpu_) continue;
      for (const Parameter* p : all) {
        check("the optimizer's copy is there", p->copy().defined() ? 0 : NAN, 0);
        if (p->copy().defined()) near("the optimizer's copy", p->copy(), cast(p->master, half), 0);
      }
    }
    for (size_t i = 0; i < results[0].size(); ++i) {
      near(concat_text("optimizer ", static_cast<int>(options.kind), ", parameter ", i),
           results[0][i], results[1][i], 2e-6);
    }
  }

  Stream& gpu_;
  Stream& cpu_;
  LaunchLog log_;
  int compared_ = 0;
  std::set<std::string> names_;
  std::vector<std::string> failures_;
};

}  // namespace gliograd::test
