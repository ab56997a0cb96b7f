// Batch normalization: reference, CPU, backward node, entry, case. The CPU inner loops stand in
// batch_norm_panels.cpp.
//
// Gradients. With M values a channel, r = 1 / sqrt(var + eps), h = (x - mean) * r and dp = dy *
// act'(p), where p = gamma * h + beta + z is what the activation sees:
//   dz = dp,  dbeta = sum dp,  dgamma = sum dp * h,
//   dx = gamma * r * (dp - dbeta / M - h * dgamma / M)   in train, where mean and var depend on x,
//   dx = gamma * r * dp                                  in eval.
#include "engine/ops/batch_norm.hpp"

#include <cmath>
#include <utility>

#include "engine/autograd/op_range.hpp"
#include "engine/core/parallel.hpp"
#include "engine/ops/batch_norm_cuda.hpp"
#include "engine/ops/batch_norm_panels.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/panels.hpp"
#include "engine/ops/path.hpp"
#include "engine/tensor/layout.hpp"

namespace gliograd {
namespace {

using batch_norm_panels::PanelArgs;
using batch_norm_panels::Sign;
using lanes::kLanes;

// What normalizes: of the batch in train, the running ones in eval. [C], f32 (f64 where x is).
struct Saved {
  Tensor mean;
  Tensor rstd;  // 1 / sqrt(var + eps)
  Tensor var;   // biased; train on the CPU only
};

// ---- reference: x is [M, C] row by row --------------------------------------------------------

void moments_reference(const Tensor& x, double eps, Saved& saved) {
  const int64_t c_count = x.dim(3), m = x.size() / c_count;
  for (int64_t c = 0; c < c_count; ++c) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < m; ++i) sum += x.at<double>(i * c_count + c);
    const double mean = sum / static_cast<double>(m);
    for (int64_t i = 0; i < m; ++i) {
      const double d = x.at<double>(i * c_count + c) - mean;
      squares += d * d;
    }
    saved.mean.at<double>(c) = mean;
    saved.var.at<double>(c) = squares / static_cast<double>(m);
    saved.rstd.at<double>(c) = 1 / std::sqrt(saved.var.at<double>(c) + eps);
  }
}

void forward_reference(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Saved& saved,
                       const BatchNormOptions& options, Tensor& y) {
  const int64_t c_count = x.dim(3);
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t c = i % c_count;
    const double h = (x.at<double>(i) - saved.mean.at<double>(c)) * saved.rstd.at<double>(c);
    double p = gamma.at<double>(c) * h + beta.at<double>(c);
    if (options.residual != nullptr) p += options.residual->at<double>(i);
    switch (options.activation) {
      case Activation::none: break;
      case Activation::relu: p = p < 0 ? 0 : p; break;
      case Activation::leaky_relu: p = p < 0 ? options.slope * p : p; break;
    }
    y.at<double>(i) = p;
  }
}

// ---- cpu: whole tensors -----------------------------------------------------------------------

// values [C] in memory rounded up to whole panels, zeros behind.
Tensor padded(const Panels& panels, const Tensor& values) {
  Tensor out = empty_like(values, {panels.padded()});
  fill_zero(out);
  std::copy_n(values.data<float>(), panels.channels(), out.data<float>());
  return out;
}

template <class T>
void moments_cpu(const Tensor& x, double eps, int threads, Saved& saved) {
  const Panels panels(x);
  const int64_t width = panels.padded(), slices = panels.slices();
  const Tensor means = empty_like(saved.mean, {slices, width});
  const Tensor squares = empty_like(saved.mean, {slices, width});
  parallel_for(threads, slices, panels.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      for (int64_t t = 0; t < panels.tiles(); ++t) {
        const Panel p = panels.at(s, t);
        const int64_t to = s * width + t * kLanes;
        batch_norm_panels::moments(x.data<T>() + p.offset, p.rows, p.stride, p.width,
                                   means.data<float>() + to, squares.data<float>() + to);
      }
    }
  });
  // Joins the slices (Chan, Golub & LeVeque 1979): M2 = sum of M2_s + n_s * (mean_s - mean)^2.
  const int64_t rows = x.size() / panels.channels();
  const double m = static_cast<double>(rows);
  Tensor sums = empty_like(x, {2, width}, DType::f64);
  fill_zero(sums);
  double *mean = sums.data<double>(), *m2 = mean + width;
  for (int64_t s = 0; s < slices; ++s) {
    const double n = static_cast<double>(panels.rows(s));
    const float* slice = means.data<float>() + s * width;
    for (int64_t c = 0; c < width; ++c) mean[c] += n * slice[c];
  }
  for (int64_t c = 0; c < width; ++c) mean[c] /= m;
  for (int64_t s = 0; s < slices; ++s) {
    const double n = static_cast<double>(panels.rows(s));
    const float *slice = means.data<float>() + s * width,
                *square = squares.data<float>() + s * width;
    for (int64_t c = 0; c < width; ++c) {
      const double d = slice[c] - mean[c];
      m2[c] += square[c] + n * d * d;
    }
  }
  for (int64_t c = 0; c < panels.channels(); ++c) {
    const double var = m2[c] / m;
    saved.mean.at<float>(c) = static_cast<float>(mean[c]);
    saved.var.at<float>(c) = static_cast<float>(var);
    saved.rstd.at<float>(c) = static_cast<float>(1 / std::sqrt(var + eps));
  }
}

// The [C] numbers of a pass, padded to whole panels.
struct ChannelNumbers {
  Tensor mean, scale, beta;
  ChannelNumbers(const Panels& panels, const Tensor& gamma, const Tensor& beta_, const Saved& saved)
      : mean(padded(panels, saved.mean)),
        scale(padded(panels, saved.rstd)),
        beta(padded(panels, beta_)) {
    for (int64_t c = 0; c < panels.channels(); ++c) scale.at<float>(c) *= gamma.at<float>(c);
  }
  template <class T>
  void set(PanelArgs<T>& args, const Panel& p, int64_t tile) const {
    args.rows = p.rows;
    args.stride = p.stride;
    args.width = p.width;
    args.mean = mean.data<float>() + tile * kLanes;
    args.scale = scale.data<float>() + tile * kLanes;
    args.beta = beta.data<float>() + tile * kLanes;
  }
};

template <class T>
void forward_cpu(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Saved& saved,
                 const BatchNormOptions& options, const Tensor& z, int threads, Tensor& y) {
  const Panels panels(x);
  const ChannelNumbers numbers(panels, gamma, beta, saved);
  parallel_for(threads, panels.slices(), panels.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      for (int64_t t = 0; t < panels.tiles(); ++t) {
        const Panel p = panels.at(s, t);
        PanelArgs<T> args{};
        numbers.set(args, p, t);
        args.x = x.data<T>() + p.offset;
        args.z = z.defined() ? z.data<T>() + p.offset : nullptr;
        args.out = y.data<T>() + p.offset;
        args.slope = static_cast<float>(options.slope);
        batch_norm_panels::apply(args, options.activation);
      }
    }
  });
}

// ---- backward ---------------------------------------------------------------------------------

class BatchNormNode final : public Node {
 public:
  BatchNormNode(Tensor x, Tensor gamma, Tensor beta, Tensor y, Saved saved,
                const BatchNormOptions& options)
      : x_(std::move(x)),
        gamma_(std::move(gamma)),
        beta_(std::move(beta)),
        y_(std::move(y)),
        saved_(std::move(saved)),
        train_(options.mode == Mode::train),
        residual_(options.residual != nullptr),
        activation_(options.activation),
        slope_(options.slope) {}

  const char* name() const override { return "batch_norm"; }
  int64_t saved_bytes() const override {
    return x_.bytes() + 4 * gamma_.bytes() + (y_.defined() ? y_.bytes() : 0);
  }
  OpFacts facts(Stream&, const std::vector<bool>&) const override {
    const auto values = static_cast<double>(x_.size());  // moments, then scale and shift
    return {.forward_ops = (train_ ? 8 : 4) * values, .backward_ops = 12 * values};
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy) override {
    Tensor dx, dgamma = empty_like(gamma_), dbeta = empty_like(beta_), dz;
    switch (path_of(x_)) {
      case Path::reference: reference(dy, dx, dgamma, dbeta, dz); break;
      case Path::cpu:
        with_cpu_type(x_, [&](auto t) { cpu<decltype(t)>(context, dy, dx, dgamma, dbeta, dz); });
        break;
      case Path::cuda:
        batch_norm_cuda::backward(context.stream,
                                  {x_, gamma_, beta_, saved_.mean, saved_.rstd, y_, activation_,
                                   slope_, train_, residual_},
                                  dy, context.needs[0], dx, dgamma, dbeta, dz);
        break;
    }
    std::vector<Tensor> gradients = {dx, dgamma, dbeta};
    if (residual_) gradients.push_back(dz);
    return gradients;
  }

 private:
  void reference(const Tensor& dy, Tensor& dx, Tensor& dgamma, Tensor& dbeta, Tensor& dz) const {
    dx = empty_like(x_);
    dz = empty_like(x_);
    const int64_t c_count = x_.dim(3), m = x_.size() / c_count;
    for (int64_t c = 0; c < c_count; ++c) {
      const double mean = saved_.mean.at<double>(c), rstd = saved_.rstd.at<double>(c);
      double sum = 0, dot = 0;
      for (int64_t row = 0; row < m; ++row) {
        const int64_t i = row * c_count + c;
        double dp = dy.at<double>(i);
        if (activation_ != Activation::none && !(y_.at<double>(i) > 0)) {
          dp *= activation_ == Activation::relu ? 0 : slope_;
        }
        dz.at<double>(i) = dp;
        sum += dp;
        dot += dp * (x_.at<double>(i) - mean) * rstd;
      }
      dbeta.at<double>(c) = sum;
      dgamma.at<double>(c) = dot;
      const double over_m = train_ ? 1.0 / static_cast<double>(m) : 0.0;
      for (int64_t row = 0; row < m; ++row) {
        const int64_t i = row * c_count + c;
        const double h = (x_.at<double>(i) - mean) * rstd;
        dx.at<double>(i) =
            gamma_.at<double>(c) * rstd * (dz.at<double>(i) - sum * over_m - h * dot * over_m);
      }
    }
  }

  template <class T>
  void cpu(BackwardContext& context, const Tensor& dy_any, Tensor& dx, Tensor& dgamma,
           Tensor& dbeta, Tensor& dz) const {
    const int threads = context.stream.threads();
    const bool relu = activation_ == Activation::relu;
    Sign sign = activation_ == Activation::none ? Sign::none
                : residual_                     ? Sign::from_y
                                                : Sign::from_x;
    const bool own = may_overwrite(dy_any, x_.layout);
    Tensor dy = to_layout(dy_any, x_.layout);
    if (residual_) dz = sign == Sign::none ? dy : (own ? dy.detached() : empty_like(dy));
    const Panels panels(x_);
    const ChannelNumbers numbers(panels, gamma_, beta_, saved_);
    const int64_t width = panels.padded(), slices = panels.slices();
    const auto args_of = [&](const Panel& p, int64_t t) {
      PanelArgs<T> args{};
      numbers.set(args, p, t);
      args.x = x_.data<T>() + p.offset;
      args.y = y_.defined() ? y_.data<T>() + p.offset : nullptr;
      args.dy = dy.data<T>() + p.offset;
      args.slope = static_cast<float>(slope_);
      return args;
    };

    const Tensor partial = empty_like(gamma_, {2, slices, width});
    float *sums = partial.data<float>(), *dots = sums + slices * width;
    parallel_for(threads, slices, panels.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        for (int64_t t = 0; t < panels.tiles(); ++t) {
          const Panel p = panels.at(s, t);
          PanelArgs<T> args = args_of(p, t);
          args.dz = residual_ ? dz.data<T>() + p.offset : nullptr;
          const int64_t to = s * width + t * kLanes;
          batch_norm_panels::sums(args, sign, relu, sums + to, dots + to);
        }
      }
    });

    // Both sums in f64 over the slices, then what the last pass needs of them.
    Tensor totals = empty_like(x_, {2, width}, DType::f64);
    fill_zero(totals);
    double *sum = totals.data<double>(), *dot = sum + width;
    for (int64_t s = 0; s < slices; ++s) {
      for (int64_t c = 0; c < width; ++c) {
        sum[c] += sums[s * width + c];
        dot[c] += dots[s * width + c];
      }
    }
    Tensor mean_dp = empty_like(gamma_, {width}), slope_dp = empty_like(gamma_, {width});
    fill_zero(mean_dp);
    fill_zero(slope_dp);
    const int64_t rows = x_.size() / panels.channels();
    const double m = static_cast<double>(rows);
    for (int64_t c = 0; c < panels.channels(); ++c) {
      const double rstd = saved_.rstd.at<float>(c);
      dbeta.at<float>(c) = static_cast<float>(sum[c]);
      dgamma.at<float>(c) = static_cast<float>(dot[c] * rstd);
      if (!train_) continue;
      mean_dp.at<float>(c) = static_cast<float>(sum[c] / m);
      slope_dp.at<float>(c) = static_cast<float>(dot[c] * rstd * rstd / m);
    }
    if (!context.needs[0]) return;

    if (residual_) {  // dp stands in dz now, and the tape hands it on
      dy = dz;
      sign = Sign::none;
      dx = empty_like(x_);
    } else {
      dx = own ? dy.detached() : empty_like(dy);
    }
    parallel_for(threads, slices, panels.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        for (int64_t t = 0; t < panels.tiles(); ++t) {
          const Panel p = panels.at(s, t);
          PanelArgs<T> args = args_of(p, t);
          args.out = dx.data<T>() + p.offset;
          args.mean_dp = mean_dp.data<float>() + t * kLanes;
          args.slope_dp = slope_dp.data<float>() + t * kLanes;
          batch_norm_panels::gradient(args, sign, relu);
        }
      }
    });
  }

  Tensor x_, gamma_, beta_;
  Tensor y_;  // undefined where the sign of p can be had without it
  Saved saved_;
  bool train_, residual_;
  Activation activation_;
  double slope_;
};

// ---- entry ------------------------------------------------------------------------------------

// running = (1 - momentum) * running + momentum * batch, the variance unbiased.
template <class T>
void update_running(RunningStats& running, const Saved& saved, int64_t m, double momentum) {
  const double unbias = static_cast<double>(m) / static_cast<double>(m - 1);
  for (int64_t c = 0; c < saved.mean.size(); ++c) {
    T &mean = running.mean.at<T>(c), &var = running.var.at<T>(c);
    mean = static_cast<T>((1 - momentum) * mean + momentum * saved.mean.at<T>(c));
    var = static_cast<T>((1 - momentum) * var + momentum * unbias * saved.var.at<T>(c));
  }
}

template <class T>
void take_running(const RunningStats& running, double eps, Saved& saved) {
  for (int64_t c = 0; c < saved.mean.size(); ++c) {
    saved.mean.at<T>(c) = running.mean.at<T>(c);
    saved.rstd.at<T>(c) = static_cast<T>(1 / std::sqrt(running.var.at<T>(c) + eps));
  }
}

}  // namespace

Tensor batch_norm(Tape& tape, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  RunningStats& running, const BatchNormOptions& options) {
  const OpRange range(tape, "batch_norm");
  check_computable("batch_norm", x);
  GG_CHECK(x.rank() == 4, "batch_norm: x must be [N, H, W, C]; got ", x.shape);
  const bool train = options.mode == Mode::train;
  const Shape channels{x.dim(3)};
  const DType dtype = x.dtype == DType::f64 ? DType::f64 : DType::f32;
  GG_CHECK(x.size() > 0 && (!train || x.size() >= 2 * x.dim(3)), "batch_norm: x needs ",
           train ? 2 : 1, " values per channel; got ", x.shape);
  const auto check_length = [&](const char* name, const Tensor& t) {
    GG_CHECK(t.defined() && t.shape == channels && t.dtype == dtype, "batch_norm: ", name,
             " must be ", dtype, ' ', channels, ", one value per channel of x ", x.shape, "; got ",
             t.dtype, ' ', t.shape);
  };
  check_length("gamma", gamma);
  check_length("beta", beta);
  check_length("running.mean", running.mean);
  check_length("running.var", running.var);
  GG_CHECK(options.eps >= 0, "batch_norm: eps must not be negative; got ", options.eps);
  GG_CHECK(options.momentum >= 0 && options.momentum <= 1,
           "batch_norm: momentum must be 0 to 1; got ", options.momentum);
  GG_CHECK(options.slope >= 0, "batch_norm: slope must not be negative; got ", options.slope);
  Tensor z;
  if (options.residual != nullptr) {
    GG_CHECK(options.residual->shape == x.shape && options.residual->dtype == x.dtype,
             "batch_norm: the residual must be ", x.dtype, ' ', x.shape, " as x; got ",
             options.residual->dtype, ' ', options.residual->shape);
    z = to_layout(*options.residual, x.layout);
  }

  Tensor y = empty_like(x);
  Saved saved{empty_like(gamma), empty_like(gamma), empty_like(gamma)};
  const int threads = tape.stream().threads();
  switch (path_of(x)) {
    case Path::reference:
      train ? moments_reference(x, options.eps, saved)
            : take_running<double>(running, options.eps, saved);
      forward_reference(x, gamma, beta, saved, options, y);
      break;
    case Path::cpu:
      with_cpu_type(x, [&](auto t) {
        using T = decltype(t);
        train ? moments_cpu<T>(x, options.eps, threads, saved)
              : take_running<float>(running, options.eps, saved);
        forward_cpu<T>(x, gamma, beta, saved, options, z, threads, y);
      });
      break;
    case Path::cuda:
      batch_norm_cuda::forward(tape.stream(), x, gamma, beta, running, options, saved.mean,
                               saved.rstd, y);
      break;
  }
  if (train && path_of(x) != Path::cuda) {
    const int64_t m = x.size() / x.dim(3);
    x.dtype == DType::f64 ? update_running<double>(running, saved, m, options.momentum)
                          : update_running<float>(running, saved, m, options.momentum);
  }
  const bool keep_y = options.activation != Activation::none &&
                      (options.residual != nullptr || path_of(x) == Path::reference);
  std::vector<Tensor> inputs = {x, gamma, beta};
  if (options.residual != nullptr) inputs.push_back(*options.residual);
  return tape.record(y, inputs,
                     BatchNormNode(x.detached(), gamma.detached(), beta.detached(),
                                   keep_y ? y : Tensor{}, saved, options));
}

// ---- case -------------------------------------------------------------------------------------

namespace {

CaseRow row(std::string label, const Shape& x, BatchNormOptions options, bool residual = false,
            Layout layout = Layout::nhwc) {
  const Shape channels{x[3]};
  CaseRow r;
  r.label = std::move(label);
  r.inputs = {{.shape = x, .batch = true},
              {.shape = channels, .master = true},
              {.shape = channels, .master = true}};
  if (residual) r.inputs.push_back({.shape = x, .batch = true});
  r.gradient_check = x.size() < 2000;
  r.op = [options, residual, layout](Tape& tape, const std::vector<Tensor>& in) {
    RunningStats running{zeros_like(in[1]),
                         from_values(tape.stream(), in[1].shape,
                                     std::vector<double>(in[1].size(), 0.7), in[1].dtype)};
    BatchNormOptions o = options;
    if (residual) o.residual = &in[3];
    return batch_norm(tape, in_case_layout(in[0], layout), in[1], in[2], running, o);
  };
  return r;
}

CaseRow bench_row(std::string label, const Shape& x) {
  CaseRow r = row(std::move(label), x, {.activation = Activation::relu});
  r.bench = true;
  r.cost = {.bytes = 12.0 * static_cast<double>(x.size()),
            .ops = 8.0 * static_cast<double>(x.size())};
  return r;
}

const bool kCase = register_case({
    .name = "batch_norm",
    .rows =
        {
            row("odd sizes", {2, 4, 5, 3}, {}),
            row("two values a channel (eps 1: the gradient is not all cancellation)", {2, 1, 1, 5},
                {.eps = 1}),
            row("17 channels, relu", {2, 3, 4, 17}, {.activation = Activation::relu}),
            row("leaky relu, many slices", {1, 41, 41, 18},
                {.activation = Activation::leaky_relu, .slope = 0.2}),
            row("residual", {2, 3, 5, 16}, {}, true),
            row("residual and relu", {2, 3, 5, 19}, {.activation = Activation::relu}, true),
            row("eval, relu", {2, 3, 4, 5}, {.mode = Mode::eval, .activation = Activation::relu}),
            row("blocked, residual and leaky relu", {2, 3, 5, 20},
                {.activation = Activation::leaky_relu}, true, Layout::blocked16),
            bench_row("80 x 80, 16, relu", {32, 80, 80, 16}),
            bench_row("40 x 40, 32, relu", {32, 40, 40, 32}),
            bench_row("20 x 20, 64, relu", {32, 20, 20, 64}),
            bench_row("10 x 10, 96, relu", {32, 10, 10, 96}),
        },
    // Worst of 20 seeds: 1.4e-6, in gamma's gradient at odd sizes, a sum that cancels; 6e-7 on
    // bench rows, which are compared on one image. Sums over a whole batch are judged in the test
    // file.
    .f32_tolerance = 3e-6,
});

}  // namespace
}  // namespace gliograd
