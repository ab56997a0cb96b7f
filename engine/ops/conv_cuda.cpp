// Convolution on a GPU: which kernels compute a pass.
#include <algorithm>

#include "engine/device/fallbacks.hpp"
#include "engine/ops/conv_paths.hpp"
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

// Depthwise convolutions and heads of few channels are the own kernels' in any case.
void note_fallback(Stream& stream, const Geometry& g, const char* pass, const Tensor& x) {
  if (g.depthwise() || g.ci < 8 || g.co < 8) return;
  stream.local<Fallbacks>().add(concat_text("conv ", pass, ", ", x.dtype, ' ', g.n, 'x', g.h, 'x',
                                            g.w, 'x', g.ci, " to ", g.co, ", ", g.kh, 'x', g.kw,
                                            " / ", g.stride));
}

// cuDNN's handle, which lives as long as its stream.
class Vendor {
 public:
  Vendor() = default;
  ~Vendor() {
    if (vendor_.handle != nullptr) kernels::free_conv_vendor(vendor_);
  }
  Vendor(const Vendor&) = delete;
  Vendor& operator=(const Vendor&) = delete;

  // False where no plan serves the pass: nothing is done then.
  bool run(Stream& stream, kernels::ConvPass pass, const kernels::ConvShape& shape,
           const Tensor& first, const Tensor& second, const Tensor& bias, const Tensor& result) {
    if (!made_) vendor_ = kernels::make_conv_vendor(stream.queue());
    made_ = true;
    if (vendor_.handle == nullptr) return false;
    const bool fixed = stream.deterministic();
    const int64_t bytes = kernels::plan_conv_vendor(vendor_, pass, shape, fixed);
    if (bytes < 0) return false;
    const Tensor workspace = empty(stream, {std::max<int64_t>(1, bytes)}, DType::u8);
    kernels::run_conv_vendor(vendor_, pass, shape, fixed, first.raw(), second.raw(),
                             shape.bias ? bias.raw() : nullptr, result.raw(), workspace.raw());
    return true;
  }

 private:
  bool made_ = false;
  kernels::ConvVendor vendor_;
};

}  // namespace

void forward_cuda(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                  const Tensor& bias, Tensor& y) {
  kernels::ConvShape shape = shape_of(stream, g, x.dtype);
  shape.bias = bias.defined();
  if (stream.local<Vendor>().run(stream, kernels::ConvPass::forward, shape, x, weight, bias, y)) {
    return;
  }
  note_fallback(stream, g, "forward", x);
  kernels::conv_direct_forward(stream.queue(), shape, x.raw(), weight.raw(),
                               bias.defined() ? bias.raw() : nullptr, y.raw());
}

void backward_cuda(Stream& stream, const Geometry& g, const Tensor& x, const Tensor& weight,
                   const Tensor& dy, Tensor& dx, Tensor& dw, Tensor& db) {
  const kernels::ConvShape shape = shape_of(stream, g, x.dtype);
  const kernels::Queue queue = stream.queue();
  Vendor& vendor = stream.local<Vendor>();
  if (dx.defined() && !vendor.run(stream, kernels::ConvPass::data, shape, dy, weight, {}, dx)) {
    note_fallback(stream, g, "data", x);
    kernels::conv_direct_data(queue, shape, dy.raw(), weight.raw(), dx.raw());
  }
  if (dw.defined()) {
    // cuDNN gives them in the type of the images; the own kernel keeps its f32 sums.
    Tensor narrow = x.dtype == DType::f32 ? dw : empty(stream, dw.shape, x.dtype);
    if (!vendor.run(stream, kernels::ConvPass::weights, shape, dy, x, {}, narrow)) {
      note_fallback(stream, g, "weights", x);
      kernels::conv_direct_weights(queue, shape, dy.raw(), x.raw(), static_cast<float*>(dw.raw()));
    } else if (x.dtype != DType::f32) {
      dw = narrow;
    }
  }
  if (db.defined()) {
    kernels::sum_channels(queue, dy.dtype, dy.size() / g.co, g.co, dy.raw(),
                          static_cast<float*>(db.raw()));
  }
}

}  // namespace gliograd::conv_paths
