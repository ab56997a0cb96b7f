#include "engine/ops/linear_cuda.hpp"

#include "engine/device/fallbacks.hpp"
#include "engine/ops/fused_relu.hpp"
#include "engine/ops/vendor_products.hpp"
#include "kernels/conv.hpp"
#include "kernels/linear.hpp"

namespace gliograd::linear_cuda {
namespace {

using kernels::LinearPass;

kernels::LinearShape shape_of(const Stream& stream, const Tensor& x, const Tensor& weight) {
  return {.n = x.dim(0),
          .in = x.dim(1),
          .out = weight.dim(0),
          .dtype = x.dtype,
          .tf32 = stream.tf32() && x.dtype == DType::f32};
}

// The library's fast algorithms want rows of whole 16 bytes. The rest, heads of few classes among
// it, is small, and the own kernels'.
bool has_whole_rows(const kernels::LinearShape& s) {
  const int64_t values = 16 / size_of(s.dtype);
  return s.in % values == 0 && s.out % values == 0;
}

// Heads of few classes are the own kernels' in any case.
void note_fallback(Stream& stream, const kernels::LinearShape& s, const char* pass) {
  if (s.in < 8 || s.out < 8) return;
  stream.local<Fallbacks>().add(
      concat_text("linear ", pass, ", ", s.dtype, ' ', s.n, 'x', s.in, " to ", s.out));
}

struct Cublaslt {
  using Handle = kernels::LinearVendor;
  using Pass = kernels::LinearPass;
  using Shape = kernels::LinearShape;
  static Handle make(kernels::Queue queue) { return kernels::make_linear_vendor(queue); }
  static void free(Handle handle) { kernels::free_linear_vendor(handle); }
  static int64_t workspace(Handle handle, Pass pass, const Shape& shape, bool /*deterministic*/) {
    return kernels::plan_linear_vendor(handle, pass, shape);
  }
  static std::vector<kernels::VendorPlan> list(Handle handle, Pass pass, const Shape& shape,
                                               int most) {
    return kernels::list_linear_plans(handle, pass, shape, most);
  }
  static bool take(Handle handle, Pass pass, const Shape& shape, const std::string& plan) {
    return kernels::take_linear_plan(handle, pass, shape, plan);
  }
  static void run(Handle handle, Pass pass, const Shape& shape, bool /*deterministic*/,
                  const void* first, const void* second, const void* bias, void* result,
                  void* workspace) {
    kernels::run_linear_vendor(handle, pass, shape, first, second, bias, result, workspace);
  }
  // "linear data bf16 32x2048 to 1000"
  static std::string text(Pass pass, const Shape& s) {
    const char* const passes[] = {"forward", "data", "weights"};
    return concat_text("linear ", passes[static_cast<int>(pass)], ' ',
                       s.tf32 ? "tf32" : name_of(s.dtype), ' ', s.n, 'x', s.in, " to ", s.out,
                       s.bias ? " + bias" : "", s.relu ? " + relu" : "");
  }
  static Shape bare(Shape shape) {
    shape.bias = shape.relu = false;
    return shape;
  }
  static void epilogue(Stream& stream, const Shape& shape, const Tensor& bias, Tensor& result) {
    if (shape.bias) {
      add_bias(stream, bias, shape.relu, result);
    } else {
      apply_relu(stream, result);
    }
  }
};

bool run_cublaslt(Stream& stream, LinearPass pass, const kernels::LinearShape& shape,
                  const Tensor& first, const Tensor& second, const Tensor& bias, Tensor& result) {
  if (!has_whole_rows(shape)) return false;
  return stream.local<VendorProducts<Cublaslt>>().run(stream, pass, shape,
                                                      {first, second, bias, result});
}

}  // namespace

void forward(Stream& stream, const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu,
             Tensor& y) {
  kernels::LinearShape shape = shape_of(stream, x, weight);
  shape.bias = bias.defined();
  shape.relu = relu;
  if (run_cublaslt(stream, LinearPass::forward, shape, x, weight, bias, y)) return;
  note_fallback(stream, shape, "forward");
  kernels::linear_direct_forward(stream.queue(), shape, x.raw(), weight.raw(),
                                 bias.defined() ? bias.raw() : nullptr, y.raw());
}

void backward(Stream& stream, const Tensor& x, const Tensor& weight, const Tensor& dy, Tensor& dx,
              Tensor& dw, Tensor& db) {
  const kernels::LinearShape shape = shape_of(stream, x, weight);
  const kernels::Queue queue = stream.queue();
  kernels::LinearGradients rest;
  if (dx.defined() && !run_cublaslt(stream, LinearPass::data, shape, dy, weight, {}, dx)) {
    note_fallback(stream, shape, "data");
    rest.dx = dx.raw();
  }
  if (dw.defined() && !run_cublaslt(stream, LinearPass::weights, shape, dy, x, {}, dw)) {
    note_fallback(stream, shape, "weights");
    rest.dweight = static_cast<float*>(dw.raw());
  }
  if (db.defined()) rest.dbias = static_cast<float*>(db.raw());
  if (rest.dx == nullptr && rest.dweight == nullptr) {
    if (db.defined()) {  // alone it is faster so, where there are many classes
      kernels::sum_channels(queue, dy.dtype, dy.dim(0), dy.dim(1), dy.raw(), rest.dbias);
    }
    return;
  }
  kernels::linear_direct_backward(queue, shape, x.raw(), weight.raw(), dy.raw(), rest);
}

}  // namespace gliograd::linear_cuda
