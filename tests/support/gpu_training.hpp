// What must hold of training on a GPU, at any size: tests/device runs it on a real one at the size
// of a real network, tests/simt on the emulated one at a small size, so that it is known to work.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <thread>

#include "tests/support/training_fold.hpp"

namespace gliograd::test {

struct GpuTraining {
  FoldScale scale;
  int64_t stored = 40;      // pixels a side of the stored windows
  int64_t exact_steps = 6;  // held to the f64 reference, which is slow
  int folds = 3;            // side by side
  int64_t huge = 1 << 20;   // images of a batch that no memory holds
  int threads = 1;          // of the CPU's f32 path
  double gradient = 2e-4;   // f32 against f64: relative norm of the first step's gradients,
  double weights = 1e-2;    // and of all weights after exact_steps
  double curve = 0.1;       // losses against the CPU's f32: mean of a part of the curve
};

class GpuTrainingChecks {
 public:
  explicit GpuTrainingChecks(const GpuTraining& what)
      : what_(what), toy_(what.scale.slices, what.stored, what.stored, 3, 17) {}

  /// Prints a line a check, and returns how many failed.
  int run() {
    follow_reference();
    follow_curve();
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) replay_is_eager(dtype);
    folds_beside();
    out_of_memory();
    std::printf("%d checks, %d failed\n", checks_, failed_);
    return failed_;
  }

 private:
  using Values = std::vector<double>;

  void within(const std::string& name, double value, double bound) {
    verdict(value <= bound, name, value, bound);  // false for NaN
  }
  void verdict(bool passed, const std::string& name, double value, double bound) {
    ++checks_;
    if (!passed) ++failed_;
    std::printf("%s: %s: %.3g, at most %.3g\n", passed ? "passed" : "FAILED", name.c_str(), value,
                bound);
    std::fflush(stdout);
  }
  void equal(const std::string& name, const Values& a, const Values& b) {
    size_t different = a.size() == b.size() ? 0 : std::max(a.size(), b.size());
    for (size_t i = 0; i < a.size() && i < b.size(); ++i) different += a[i] == b[i] ? 0 : 1;
    verdict(different == 0 && !a.empty(), name + ": values that differ",
            static_cast<double>(different), 0);
  }

  // Of one fold's random key, so that both devices start from the same weights. Fixed choices: bits
  // are compared.
  static std::unique_ptr<Stream> gpu(int32_t fold = 0) {
    return Stream::cuda(0, {.deterministic = true, .random = {.seed = 3, .fold = fold}});
  }
  std::unique_ptr<Stream> cpu() const {
    return Stream::cpu({.threads = what_.threads, .random = {.seed = 3}});
  }

  void follow_reference() {
    const auto host = cpu(), device = gpu();
    Fold reference(*host, DType::f64, toy_, what_.scale),
        f32(*device, DType::f32, toy_, what_.scale);
    reference.step();
    f32.step();
    within("f32: gradients of the first step against f64",
           distance(f32.gradients(), reference.gradients()), what_.gradient);
    // In front of a max pool two values that 16 bits cannot tell apart may change places, and the
    // gradient then goes through another pixel. Behind the last pool only roundings remain.
    struct Bound {
      DType dtype;
      double behind, all;
    };
    for (const Bound& bound : {Bound{DType::bf16, 0.05, 0.5}, Bound{DType::f16, 0.01, 0.2}}) {
      const auto stream = gpu();
      Fold half(*stream, bound.dtype, toy_, what_.scale);
      half.step();
      const std::string type = name_of(bound.dtype);
      within(type + ": gradients behind the last pool against f64",
             distance(half.gradient("head.weight"), reference.gradient("head.weight")),
             bound.behind);
      within(type + ": all gradients of the first step against f64",
             distance(half.gradients(), reference.gradients()), bound.all);
    }
    for (int64_t i = 1; i < what_.exact_steps; ++i) {
      reference.step();
      f32.step();
    }
    within("f32: weights after " + std::to_string(what_.exact_steps) + " steps against f64",
           distance(f32.all(), reference.all()), what_.weights);
  }

  Values curve_of(Stream& stream, DType dtype) {
    Fold fold(stream, dtype, toy_, what_.scale);
    Values losses;
    for (int64_t i = 0; i < what_.scale.steps; ++i) losses.push_back(fold.loss_of_step());
    return losses;
  }
  // Single losses of two runs drift apart as their roundings do; the means of parts do not.
  void follow_curve() {
    const auto host = cpu();
    const Values wanted = curve_of(*host, DType::f32);
    const auto mean = [](const Values& v, size_t from, size_t to) {
      double sum = 0;
      for (size_t i = from; i < to; ++i) sum += v[i];
      return sum / static_cast<double>(to - from);
    };
    const size_t n = wanted.size(), part = std::max<size_t>(1, n / 5);
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      const auto device = gpu();
      const Values got = curve_of(*device, dtype);
      for (const size_t from : {size_t{0}, n - part}) {
        const double a = mean(got, from, from + part), b = mean(wanted, from, from + part);
        within(std::string(name_of(dtype)) + ": mean loss of steps " + std::to_string(from + 1) +
                   " to " + std::to_string(from + part) + " against the CPU's " + std::to_string(b),
               std::abs(a - b), what_.curve * mean(wanted, 0, part));
      }
    }
  }

  void replay_is_eager(DType dtype) {
    const std::string type = name_of(dtype);
    const auto train_eagerly = [&] {
      const auto stream = gpu();
      Fold fold(*stream, dtype, toy_, what_.scale);
      for (int64_t i = 0; i < what_.scale.steps; ++i) fold.step();
      return fold.all();
    };
    const Values once = train_eagerly();
    equal(type + ": two eager runs", train_eagerly(), once);
    const auto stream = gpu();
    Fold fold(*stream, dtype, toy_, what_.scale);
    CapturedWork work(*stream);
    train_by_graph(fold, work);
    equal(type + ": the replayed graph and eager steps", fold.all(), once);
    within(type + ": steps that the state did not count",
           static_cast<double>(what_.scale.steps - stream->read_state().updates), 0);
  }

  void folds_beside() {
    const auto train = [&](int32_t f) {
      const auto stream = gpu(f);
      Fold fold(*stream, DType::bf16, toy_, what_.scale);
      CapturedWork work(*stream);
      train_by_graph(fold, work);
      return fold.all();
    };
    std::vector<Values> alone, beside(static_cast<size_t>(what_.folds));
    for (int32_t f = 0; f < what_.folds; ++f) alone.push_back(train(f));
    std::vector<std::exception_ptr> errors(beside.size());
    std::vector<std::thread> threads;
    for (int32_t f = 0; f < what_.folds; ++f) {
      threads.emplace_back([&, f] {
        try {
          beside[static_cast<size_t>(f)] = train(f);
        } catch (...) {
          errors[static_cast<size_t>(f)] = std::current_exception();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors) {
      if (error) std::rethrow_exception(error);
    }
    for (size_t f = 0; f < beside.size(); ++f) {
      equal("fold " + std::to_string(f) + " beside others and alone", beside[f], alone[f]);
    }
    verdict(alone[0] != alone[1], "folds that are the same", alone[0] == alone[1] ? 1 : 0, 0);
  }

  void out_of_memory() {
    const auto stream = gpu();
    Fold fold(*stream, DType::f32, toy_, what_.scale);
    std::string said;
    try {
      (void)fold.next_images(what_.huge);
    } catch (const WorkError& error) {
      said = error.what();
    }
    const bool clear = said.find("out of memory: GPU 0") != std::string::npos;
    verdict(clear, "a batch beyond all memory is refused clearly (\"" + said + "\")", clear ? 0 : 1,
            0);
    const double loss = fold.loss_of_step();
    verdict(std::isfinite(loss), "training goes on behind it: loss", loss, INFINITY);
  }

  GpuTraining what_;
  simt::Toy toy_;
  int checks_ = 0, failed_ = 0;
};

}  // namespace gliograd::test
