// The ladders' runs: problems of any size, each rung checked and then timed. Around it stand a
// program for a GPU (ladder_bench.cpp) and a test on the emulated one (tests/simt/ladder_test.cpp).
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/ladder/augment.hpp"
#include "bench/ladder/batch_norm.hpp"
#include "data/augment_policy.hpp"
#include "data/noise_set.hpp"
#include "engine/core/error.hpp"
#include "engine/device/launch_log.hpp"
#include "engine/ops/augment_cuda.hpp"
#include "engine/tensor/cast.hpp"

namespace gliograd::ladder {

// ---- batch norm -------------------------------------------------------------------------------

/// x [rows, channels], each channel with a mean (up to 20 spreads from 0) and a scale of its own;
/// and what the pass must make of it, in f64: of all channels where there are few values, of some
/// where there are many.
class BatchNormProblem {
 public:
  BatchNormProblem(Stream& stream, int64_t rows, int64_t channels, DType dtype, uint64_t seed)
      : stream_(stream), host_(Stream::cpu()), rows_(rows), channels_(channels), dtype_(dtype) {
    GG_CHECK(rows >= 2 && channels >= 1, "batch norm: needs two rows and a channel; got [", rows,
             ", ", channels, "]");
    std::mt19937_64 random(seed);
    const auto uniform = [&](double low, double high) {
      return low + (high - low) * static_cast<double>(random() >> 11) * 0x1p-53;
    };
    std::vector<double> gamma, beta, mean, var;
    std::vector<float> centers;
    for (int64_t c = 0; c < channels; ++c) {
      centers.push_back(static_cast<float>(uniform(-20, 20)));
      gamma.push_back(static_cast<float>(uniform(0.5, 1.5)));
      beta.push_back(static_cast<float>(uniform(-1, 1)));
      mean.push_back(static_cast<float>(uniform(-1, 1)));
      var.push_back(static_cast<float>(uniform(0.5, 2)));
    }
    host_x_ = empty(*host_, {rows, channels}, dtype);
    for (int64_t i = 0; i < rows * channels; ++i) {
      const uint64_t r = random();
      // Uniform, of deviation 1.
      const float u = static_cast<float>(r >> 40) * 0x1p-24f * 3.4641016f - 1.7320508f;
      put(i, centers[static_cast<size_t>(i % channels)] + u);
    }
    x_ = copy_to(stream, host_x_);
    y_ = empty_like(x_);
    gamma_ = from_values(stream, {channels}, gamma);
    beta_ = from_values(stream, {channels}, beta);
    before_mean_ = from_values(stream, {channels}, mean);
    before_var_ = from_values(stream, {channels}, var);
    scratch_ = empty(stream, {batch_norm_pass_scratch(rows, channels)});
    for (Tensor* t : {&mean_, &rstd_}) *t = empty(stream, {channels});
    running_mean_ = from_values(stream, {channels}, mean);
    running_var_ = from_values(stream, {channels}, var);
    for (int64_t c = 0; c < channels; ++c) {
      const auto i = static_cast<size_t>(c);
      if (rows * channels <= 1 << 18 || c < 2 || c == channels / 2 || c + 1 == channels) {
        wanted_.push_back(reference(c, gamma[i], beta[i], mean[i], var[i]));
      }
    }
  }

  void run(const BatchNormRung& rung) { rung.run(stream_.queue(), pass()); }

  /// Runs the rung on memory that holds nothing of use. The worst deviation from f64, in
  /// tolerances: more than 1, or NaN, is wrong. A mean may be off by 1e-5 spreads, what is
  /// divided by the spread by 1e-5 of itself (f32 reaches 2e-6; a mean of squares less the squared
  /// mean 1e-4 and more at 20 spreads), y by twice that and half a step of its type.
  double error(const BatchNormRung& rung) {
    for (Tensor* t : {&y_, &mean_, &rstd_}) fill_zero(*t);
    copy_into(running_mean_, before_mean_);
    copy_into(running_var_, before_var_);
    run(rung);
    const Tensor y = copy_to(*host_, y_);
    const std::vector<double> mean = to_values(mean_), rstd = to_values(rstd_);
    const std::vector<double> running_mean = to_values(running_mean_);
    const std::vector<double> running_var = to_values(running_var_);
    double worst = 0;
    const auto check = [&](double got, double wanted, double tolerance) {
      const double e = std::abs(got - wanted) / tolerance;
      if (!(e <= worst)) worst = e;  // NaN stays
    };
    const double step = dtype_ == DType::f32 ? 0x1p-24 : dtype_ == DType::f16 ? 0x1p-11 : 0x1p-8;
    for (const Wanted& w : wanted_) {
      const auto i = static_cast<size_t>(w.channel);
      check(mean[i], w.mean, kTolerance / w.rstd);
      check(rstd[i], w.rstd, kTolerance * w.rstd);
      check(running_mean[i], w.running_mean, kTolerance * (1 + std::abs(w.running_mean)));
      check(running_var[i], w.running_var, kTolerance * (1 + w.running_var));
      for (int64_t row = 0; row < rows_; ++row) {
        const double p = (value(host_x_, row, w.channel) - w.mean) * w.rstd * w.gamma + w.beta;
        const double wanted = std::max(p, 0.0);
        check(value(y, row, w.channel), wanted, 2 * kTolerance * (1 + std::abs(p)) + step * wanted);
      }
    }
    return worst;
  }

  /// x read twice, since the mean must be known before the first y; y written.
  double floor_bytes() const { return 3.0 * static_cast<double>(x_.bytes()); }
  std::string shape() const { return concat_text(rows_, 'x', channels_); }

 private:
  static constexpr double kTolerance = 1e-5, kEps = 1e-5, kMomentum = 0.1;
  struct Wanted {
    int64_t channel;
    double gamma, beta, mean, rstd, running_mean, running_var;
  };

  BatchNormPass pass() const {
    const auto floats = [](const Tensor& t) { return static_cast<float*>(t.raw()); };
    return {.shape = {rows_, channels_, dtype_, Activation::relu},
            .x = x_.raw(),
            .gamma = floats(gamma_),
            .beta = floats(beta_),
            .eps = static_cast<float>(kEps),
            .stats = {floats(mean_), floats(rstd_)},
            .running = {floats(running_mean_), floats(running_var_), static_cast<float>(kMomentum)},
            .y = y_.raw(),
            .scratch = floats(scratch_)};
  }
  void put(int64_t i, float v) {
    switch (dtype_) {
      case DType::f32: host_x_.at<float>(i) = v; return;
      case DType::bf16: host_x_.at<bf16>(i) = to_bf16(v); return;
      default: host_x_.at<f16>(i) = to_f16(v); return;
    }
  }
  double value(const Tensor& t, int64_t row, int64_t channel) const {
    const int64_t i = row * channels_ + channel;
    switch (dtype_) {
      case DType::f32: return t.at<float>(i);
      case DType::bf16: return to_float(t.at<bf16>(i));
      default: return to_float(t.at<f16>(i));
    }
  }
  Wanted reference(int64_t channel, double gamma, double beta, double running_mean,
                   double running_var) const {
    const auto n = static_cast<double>(rows_);
    double mean = 0, m2 = 0;
    for (int64_t row = 0; row < rows_; ++row) mean += value(host_x_, row, channel);
    mean /= n;
    for (int64_t row = 0; row < rows_; ++row) {
      const double d = value(host_x_, row, channel) - mean;
      m2 += d * d;
    }
    return {channel,
            gamma,
            beta,
            mean,
            1 / std::sqrt(m2 / n + kEps),
            (1 - kMomentum) * running_mean + kMomentum * mean,
            (1 - kMomentum) * running_var + kMomentum * m2 / (n - 1)};
  }

  Stream& stream_;
  std::unique_ptr<Stream> host_;
  int64_t rows_, channels_;
  DType dtype_;
  Tensor host_x_, x_, y_, gamma_, beta_, before_mean_, before_var_, scratch_;
  Tensor mean_, rstd_, running_mean_, running_var_;
  std::vector<Wanted> wanted_;
};

// ---- augmentation -----------------------------------------------------------------------------

/// A batch whose parameters are given; and what the CPU makes of it, in f32, which every rung must
/// make to the bit (that the CPU is right, tests/ops/augment_test.cpp shows against f64).
class AugmentProblem {
 public:
  /// The set must outlive it. `channels`: of the output, at least the input's.
  AugmentProblem(Stream& stream, const ResidentSet& set, const InputSpec& input,
                 const std::vector<int32_t>& slices, const std::vector<AugmentParams>& params,
                 DType dtype, int64_t channels)
      : stream_(stream), host_(Stream::cpu({.random = stream.random()})), there_(stream, set) {
    const auto images = static_cast<int64_t>(slices.size());
    SampleBatch wanted = augment_as(*host_, set, input, slices, params, WithMasks::yes);
    wanted_ = to_values(cast(wanted.images, dtype));
    wanted_masks_ = to_values(wanted.masks);
    out_ = empty(stream, {images, input.height, input.width, channels}, dtype);
    masks_ = empty(stream, {images, input.height, input.width}, DType::u8);
    order_ = uploaded(slices);
    params_ = uploaded(params);
    AugmentBatch& b = pass_.batch;
    b.set = there_.set();
    b.input = input;
    b.key = {{stream.random().seed, stream.random().low_word()}};
    b.images = images;
    b.order = static_cast<const int32_t*>(order_.raw());
    b.params = reinterpret_cast<AugmentParams*>(params_.raw());
    b.out = out_.raw();
    b.dtype = dtype;
    b.channels = channels;
    b.masks = static_cast<uint8_t*>(masks_.raw());
    b.filters = false;
    for (const AugmentParams& p : params) {
      if (p.elastic > 0) {
        const int64_t knots = int64_t{kernels::spline_knots(input.height, p.elastic_spacing)} *
                              kernels::spline_knots(input.width, p.elastic_spacing);
        b.most_knots = std::max(b.most_knots, knots);
      }
      for (const ChannelParams& q : p.channel) {
        b.filters = b.filters || q.blur > 0 || q.low_resolution > 1;
      }
    }
    planes_ = empty(stream, {2 * augment_values(b)});
    inside_ = empty_like(masks_);
    pass_.planes = static_cast<float*>(planes_.raw());
    pass_.inside = static_cast<uint8_t*>(inside_.raw());
  }

  void run(const AugmentRung& rung) { rung.run(stream_.queue(), pass_); }

  /// Runs the rung on memory that holds nothing of use. 0 where every bit is the CPU's, else how
  /// many values and mask pixels are not.
  double error(const AugmentRung& rung) {
    fill_zero(out_);
    fill_zero(masks_);
    run(rung);
    images_ = to_values(out_);
    const std::vector<double> masks = to_values(masks_);
    const auto channels = static_cast<size_t>(pass_.batch.channels);
    const auto has = static_cast<size_t>(pass_.batch.input.channels());
    int64_t differ = 0;
    for (size_t i = 0; i < images_.size(); ++i) {
      const size_t c = i % channels;
      const double wanted = c < has ? wanted_[i / channels * has + c] : 0.0;
      differ += images_[i] == wanted ? 0 : 1;  // NaN differs
    }
    for (size_t i = 0; i < masks.size(); ++i) differ += masks[i] == wanted_masks_[i] ? 0 : 1;
    return static_cast<double>(differ);
  }
  /// What the rung that was checked last made: [images, height, width, channels].
  const std::vector<double>& images() const { return images_; }

  /// Each window read once, sequences and mask, and the batch written once, with its masks.
  double floor_bytes() const {
    const AugmentBatch& b = pass_.batch;
    const auto pixels = static_cast<double>(masks_.size());
    return pixels * (b.input.sequence_count + 2.0) + static_cast<double>(out_.bytes());
  }
  std::string shape() const {
    const InputSpec& input = pass_.batch.input;
    return concat_text(pass_.batch.images, 'x', input.height, 'x', input.width, 'x',
                       input.channels());
  }

 private:
  using AugmentBatch = kernels::AugmentBatch;
  template <class T>
  Tensor uploaded(const std::vector<T>& values) {
    const auto bytes = static_cast<int64_t>(values.size() * sizeof(T));
    const Tensor x = empty(*host_, {bytes}, DType::u8);
    std::copy_n(reinterpret_cast<const uint8_t*>(values.data()), bytes, x.data<uint8_t>());
    return copy_to(stream_, x);
  }

  Stream& stream_;
  std::unique_ptr<Stream> host_;
  DeviceSet there_;
  Tensor out_, masks_, order_, params_, planes_, inside_;
  AugmentPass pass_;
  std::vector<double> wanted_, wanted_masks_, images_;
};

// ---- timing -----------------------------------------------------------------------------------

struct RunOptions {
  int runs = 30;
  double seconds = 1;  // no new run of a rung after so much time, but three in any case
  // Of other memory, written before each run, so that the L2 holds nothing of use.
  int64_t flush_bytes = int64_t{256} << 20;
};

/// One rung, checked and timed.
struct RungResult {
  std::string ladder = {}, rung = {}, shape = {};
  DType dtype = DType::f32;
  double error = 0;        // up to 1 is right
  double expected_ms = 0;  // 0: nothing was expected at this size
  double floor_bytes = 0;
  double moved_bytes = 0;  // what its launches must move
  int64_t launches = 0;
  std::vector<double> ms = {};  // of each run: its launches together
};

/// All rungs of a problem. `expected(rung)`: milliseconds, or 0.
template <class Problem, class Rung, class Expected>
std::vector<RungResult> climb(Stream& stream, const char* ladder, DType dtype, Problem& problem,
                              std::span<const Rung> rungs, const RunOptions& o,
                              const Expected& expected) {
  std::vector<RungResult> results;
  for (const Rung& rung : rungs) {
    RungResult& r = results.emplace_back();
    r = {.ladder = ladder, .rung = rung.name, .shape = problem.shape(), .dtype = dtype};
    r.error = problem.error(rung);
    r.expected_ms = expected(rung);
    r.floor_bytes = problem.floor_bytes();
    Tensor flush;
    if (o.flush_bytes > 0) flush = empty(stream, {o.flush_bytes}, DType::u8);
    LaunchLog log(stream);
    double total = 0;
    for (int i = 0; i < o.runs && (i < 3 || total < 1e3 * o.seconds); ++i) {
      if (flush.defined()) fill_zero(flush);
      log.take();
      problem.run(rung);
      double ms = 0;
      r.moved_bytes = 0;
      r.launches = 0;
      for (const kernels::RecordedLaunch& launch : log.take()) {
        ms += launch.ms;
        r.moved_bytes += launch.cost.bytes;
        ++r.launches;
      }
      r.ms.push_back(ms);
      total += ms;
    }
  }
  return results;
}

}  // namespace gliograd::ladder
