#include "engine/ops/linear_cuda.hpp"

#include <algorithm>

#include "engine/device/fallbacks.hpp"
#include "kernels/conv.hpp"
#include "kernels/linear.hpp"

namespace gliograd::linear_cuda {
namespace {

using kernels::LinearPass;

kernels::LinearShape shape_of(const Stream& stream, const Tensor& x, const Tensor& weight,
                              bool bias) {
  return {.n = x.dim(0),
          .in = x.dim(1),
          .out = weight.dim(0),
          .dtype = x.dtype,
          .bias = bias,
          .tf32 = stream.tf32() && x.dtype == DType::f32};
}

// Heads of few classes are the own kernels' in any case.
void note_fallback(Stream& stream, const kernels::LinearShape& s, const char* pass) {
  if (s.in < 8 || s.out < 8) return;
  stream.local<Fallbacks>().add(
      concat_text("linear ", pass, ", ", s.dtype, ' ', s.n, 'x', s.in, " to ", s.out));
}

// A convolution of one pixel: what the own kernels compute.
kernels::ConvShape pixel_of(const Tensor& x, const Tensor& weight) {
  return {.n = x.dim(0),
          .h = 1,
          .w = 1,
          .ci = x.dim(1),
          .co = weight.dim(0),
          .kh = 1,
          .kw = 1,
          .ho = 1,
          .wo = 1,
          .dtype = x.dtype};
}

// cuBLASLt's handle, which lives as long as its stream.
class Vendor {
 public:
  Vendor() = default;
  ~Vendor() {
    if (vendor_.handle != nullptr) kernels::free_linear_vendor(vendor_);
  }
  Vendor(const Vendor&) = delete;
  Vendor& operator=(const Vendor&) = delete;

  // False where no algorithm serves the pass: nothing is done then.
  bool run(Stream& stream, LinearPass pass, const kernels::LinearShape& shape, const Tensor& first,
           const Tensor& second, const Tensor& bias, const Tensor& result) {
    if (!made_) vendor_ = kernels::make_linear_vendor(stream.queue());
    made_ = true;
    if (vendor_.handle == nullptr) return false;
    const int64_t bytes = kernels::plan_linear_vendor(vendor_, pass, shape);
    if (bytes < 0) return false;
    const Tensor workspace = empty(stream, {std::max<int64_t>(1, bytes)}, DType::u8);
    kernels::run_linear_vendor(vendor_, pass, shape, first.raw(), second.raw(),
                               shape.bias ? bias.raw() : nullptr, result.raw(), workspace.raw());
    return true;
  }

 private:
  bool made_ = false;
  kernels::LinearVendor vendor_;
};

}  // namespace

void forward(Stream& stream, const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y) {
  const kernels::LinearShape shape = shape_of(stream, x, weight, bias.defined());
  if (stream.local<Vendor>().run(stream, LinearPass::forward, shape, x, weight, bias, y)) return;
  note_fallback(stream, shape, "forward");
  kernels::conv_direct_forward(stream.queue(), pixel_of(x, weight), x.raw(), weight.raw(),
                               bias.defined() ? bias.raw() : nullptr, y.raw());
}

void backward(Stream& stream, const Tensor& x, const Tensor& weight, const Tensor& dy, Tensor& dx,
              Tensor& dw, Tensor& db) {
  const kernels::LinearShape shape = shape_of(stream, x, weight, false);
  const kernels::ConvShape pixel = pixel_of(x, weight);
  const kernels::Queue queue = stream.queue();
  Vendor& vendor = stream.local<Vendor>();
  if (dx.defined() && !vendor.run(stream, LinearPass::data, shape, dy, weight, {}, dx)) {
    note_fallback(stream, shape, "data");
    kernels::conv_direct_data(queue, pixel, dy.raw(), weight.raw(), dx.raw());
  }
  if (dw.defined() && !vendor.run(stream, LinearPass::weights, shape, dy, x, {}, dw)) {
    note_fallback(stream, shape, "weights");
    kernels::conv_direct_weights(queue, pixel, dy.raw(), x.raw(), static_cast<float*>(dw.raw()));
  }
  if (db.defined()) {
    kernels::sum_channels(queue, dy.dtype, dy.dim(0), dy.dim(1), dy.raw(),
                          static_cast<float*>(db.raw()));
  }
}

}  // namespace gliograd::linear_cuda
