#include "engine/ops/batch_norm_cuda.hpp"

#include "kernels/batch_norm.hpp"

namespace gliograd::batch_norm_cuda {
namespace {

float* floats(const Tensor& t) { return static_cast<float*>(t.raw()); }

kernels::BatchNormShape shape_of(const Tensor& x, Activation activation, double slope) {
  const int64_t channels = x.dim(3);
  return {x.size() / channels, channels, x.dtype, activation, static_cast<float>(slope)};
}

}  // namespace

void forward(Stream& stream, const Tensor& x, const Tensor& gamma, const Tensor& beta,
             RunningStats& running, const BatchNormOptions& options, Tensor& mean, Tensor& rstd,
             Tensor& y) {
  const kernels::BatchNormShape shape = shape_of(x, options.activation, options.slope);
  const kernels::BatchNormStats stats{floats(mean), floats(rstd)};
  const kernels::BatchNormRunning moving{floats(running.mean), floats(running.var),
                                         static_cast<float>(options.momentum)};
  const auto eps = static_cast<float>(options.eps);
  if (options.mode == Mode::train) {
    const Tensor scratch = empty(stream, {kernels::batch_norm_scratch(shape.rows, shape.channels)});
    kernels::batch_norm_moments(stream.queue(), shape, x.raw(), floats(scratch), eps, stats,
                                moving);
  } else {
    kernels::batch_norm_from_running(stream.queue(), shape.channels, moving, eps, stats);
  }
  kernels::batch_norm_apply(stream.queue(), shape, x.raw(),
                            options.residual != nullptr ? options.residual->raw() : nullptr, stats,
                            floats(gamma), floats(beta), y.raw());
}

void backward(Stream& stream, const Saved& saved, const Tensor& dy, bool needs_dx, Tensor& dx,
              Tensor& dgamma, Tensor& dbeta, Tensor& dz) {
  const kernels::BatchNormShape shape = shape_of(saved.x, saved.activation, saved.slope);
  const bool cut = saved.activation != Activation::none;
  const bool own = dy.unique();  // then it may be written over
  kernels::BatchNormGradient args;
  args.x = saved.x.raw();
  args.dy = dy.raw();
  args.y = saved.y.defined() ? saved.y.raw() : nullptr;
  args.stats = {floats(saved.mean), floats(saved.rstd)};
  args.gamma = floats(saved.gamma);
  args.beta = floats(saved.beta);
  args.train = saved.train;
  args.dgamma = floats(dgamma);
  args.dbeta = floats(dbeta);
  if (saved.residual) {
    dz = cut && !own ? empty_like(dy) : dy.detached();  // uncut, dz is dy
    if (cut) args.dz = dz.raw();
  }
  if (needs_dx) {
    dx = own && !saved.residual ? dy.detached() : empty_like(saved.x);
    args.dx = dx.raw();
  }
  const int64_t floats_needed =
      kernels::batch_norm_scratch(shape.rows, shape.channels) + 2 * shape.channels;
  const Tensor scratch = empty(stream, {floats_needed});
  kernels::batch_norm_backward(stream.queue(), shape, args, floats(scratch));
}

}  // namespace gliograd::batch_norm_cuda
