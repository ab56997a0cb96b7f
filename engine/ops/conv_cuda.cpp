// Convolution on a GPU: which kernels compute a pass.
#include "engine/device/fallbacks.hpp"
#include "engine/ops/conv_paths.hpp"
#include "engine/ops/vendor_products.hpp"
#include "kernels/conv.hpp"

namespace gliograd::conv_paths {
namespace {

kernels::ConvShape shape_of(const Stream& stream, const Geometry& g, DType dtype) {
  return {.n = g.n,
          .h = g.h,
          .w = g.w,
          .ci = g.ci,
          .co = g.co,
          .kh = g.kh,
          .kw = g.kw,
          .ho = g.ho,
          .wo = g.wo,
          .stride = g.stride,
          .dilation = g.dilation,
          .groups = g.groups,
          .top = g.pad.top,
          .left = g.pad.left,
          .dtype = dtype,
          .tf32 = stream.tf32() && dtype == DType::f32};
}

// Heads of few channels are the own kernels' in any case.
void note_fallback(Stream& stream, const Geometry& g, const char* pass, const Tensor& x) {
  if (g.ci < 8 || g.co < 8) return;
  stream.local<Fallbacks>().add(concat_text("conv ", pass, ", ", x.dtype, ' ', g.n, 'x', g.h, 'x',
                                            g.w, 'x', g.ci, " to ", g.co, ", ", g.kh, 'x', g.kw,
                                            " / ", g.stride));
}

// "conv data bf16 32x80x80x8 to 80x80x16 by 3x3 / 1": all that a plan depends on; no comma.
std::string text_of(kernels::ConvPass pass, const kernels::ConvShape& s) {
  const char* const passes[] = {"forward", "data", "weights"};
  std::string text =
      concat_text("conv ", passes[static_cast<int>(pass)], ' ', s.tf32 ? "tf32" : name_of(s.dtype),
                  ' ', s.n, 'x', s.h, 'x', s.w, 'x', s.ci, " to ", s.ho, 'x', s.wo, 'x', s.co,
                  " by ", s.kh, 'x', s.kw, " / ", s.stride, " from ", -s.top, ':', -s.left);
  if (s.dilation > 1) text += concat_text(" dilation ", s.dilation);
  if (s.groups > 1) text += concat_text(" groups ", s.groups);
  if (s.bias) text += " + bias";
  return text;
}

struct Cudnn {
  using Handle = kernels::ConvVendor;
  using Pass = kernels::ConvPass;
  using Shape = kernels::ConvShape;
  static Handle make(kernels::Queue queue) { return kernels::make_conv_vendor(queue); }
  static void free(Handle handle) { kernels::free_conv_vendor(handle); }
  static int64_t workspace(Handle handle, Pass pass, const Shape& shape, bool deterministic) {
    return kernels::plan_conv_vendor(handle, pass, shape, deterministic);
  }
  static std::vector<kernels::VendorPlan> list(Handle handle, Pass pass, const Shape& shape,
                                               int most) {
    return kernels::list_conv_plans(handle, pass, shape, false, most);
  }
  static bool take(Handle handle, Pass pass, const Shape& shape, const std::string& plan) {
    return kernels::take_conv_plan(handle, pass, shape, false, plan);
  }
  static void run(Handle handle, Pass pass, const Shape& shape, bool deterministic,
                  const void* first, const void* second, const void* bias, void* result,
                  void* workspace) {
    kernels::run_conv_vendor(handle, pass, shape, deterministic, first, second, bias, result,
                             workspace);
  }
  static std::string text(Pass pass, const Shape& shape) { return text_of(pass, shape); }
  static Shape bare(Shape shape) {
    shape.bias = false;
    return shape;
  }
  static void epilogue(Stream& stream, const Shape&, const Tensor& bias, Tensor& result) {
    add_bias(stream, bias, false, result);
  }
};

bool run_cudnn(Stream& stream, kernels::ConvPass pass, const kernels::ConvShape& shape,
               const Tensor& first, const Tensor& second, const Tensor& bias, Tensor& result) {
  return stream.local<VendorProducts<Cudnn>>().run(stream, pass, shape,
                                                   {first, second, bias, result});
}

}  // namespace

void forward_cuda(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                  const Tensor& bias, Tensor& y) {
  if (g.depthwise()) {
    kernels::conv_depthwise_forward(stream.queue(), shape_of(stream, g, x.dtype), x.raw(),
                                    weight.raw(), bias.defined() ? bias.raw() : nullptr, y.raw());
    return;
  }
  kernels::ConvShape shape = shape_of(stream, g, x.dtype);
  shape.bias = bias.defined();
  if (run_cudnn(stream, kernels::ConvPass::forward, shape, x, weight, bias, y)) return;
  note_fallback(stream, g, "forward", x);
  kernels::conv_direct_forward(stream.queue(), shape, x.raw(), weight.raw(),
                               bias.defined() ? bias.raw() : nullptr, y.raw());
}

namespace {

void backward_depthwise(Stream& stream, const kernels::ConvShape& shape, const Tensor& x,
                        const Tensor& weight, const Tensor& dy, Tensor& dx, Tensor& dw) {
  const kernels::Queue queue = stream.queue();
  if (dx.defined()) kernels::conv_depthwise_data(queue, shape, dy.raw(), weight.raw(), dx.raw());
  if (!dw.defined()) return;
  const Tensor partial =
      empty(stream, {kernels::depthwise_slices(shape), shape.kh * shape.kw, shape.co});
  kernels::conv_depthwise_weights(queue, shape, dy.raw(), x.raw(),
                                  static_cast<float*>(partial.raw()),
                                  static_cast<float*>(dw.raw()));
}

void backward_products(Stream& stream, const Geometry& g, const kernels::ConvShape& shape,
                       const Tensor& x, const Tensor& weight, const Tensor& dy, Tensor& dx,
                       Tensor& dw) {
  const kernels::Queue queue = stream.queue();
  if (dx.defined() && !run_cudnn(stream, kernels::ConvPass::data, shape, dy, weight, {}, dx)) {
    note_fallback(stream, g, "data", x);
    kernels::conv_direct_data(queue, shape, dy.raw(), weight.raw(), dx.raw());
  }
  if (dw.defined()) {
    // cuDNN gives them in the type of the images; the own kernel keeps its f32 sums.
    Tensor narrow = x.dtype == DType::f32 ? dw : empty(stream, dw.shape, x.dtype);
    if (!run_cudnn(stream, kernels::ConvPass::weights, shape, dy, x, {}, narrow)) {
      note_fallback(stream, g, "weights", x);
      kernels::conv_direct_weights(queue, shape, dy.raw(), x.raw(), static_cast<float*>(dw.raw()));
    } else if (x.dtype != DType::f32) {
      dw = narrow;
    }
  }
}

}  // namespace

void backward_cuda(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                   const Tensor& dy, Tensor& dx, Tensor& dw, Tensor& db) {
  const kernels::ConvShape shape = shape_of(stream, g, x.dtype);
  if (g.depthwise()) {
    backward_depthwise(stream, shape, x, weight, dy, dx, dw);
  } else {
    backward_products(stream, g, shape, x, weight, dy, dx, dw);
  }
  if (db.defined()) {
    kernels::sum_channels(stream.queue(), dy.dtype, dy.size() / g.co, g.co, dy.raw(),
                          static_cast<float*>(db.raw()));
  }
}

}  // namespace gliograd::conv_paths
