// Convolution on a GPU: through cuDNN where it has a plan that is worth one, else by the project's
// own kernels, which serve every shape. NHWC images in f32, bf16 or f16; all sums are f32.
#pragma once
#include <string>
#include <vector>

#include "kernels/entry.hpp"
#include "kernels/vendor_plan.hpp"

namespace gliograd::kernels {

/// A convolution in numbers. Input pixel of output (i, j) and tap (r, s):
/// (i * stride - top + r * dilation, j * stride - left + s * dilation). The weights are
/// [co, kh, kw, ci / groups].
struct ConvShape {
  int64_t n = 0, h = 0, w = 0, ci = 0;  // x
  int64_t co = 0, kh = 0, kw = 0;       // weights
  int64_t ho = 0, wo = 0;               // y
  int64_t stride = 1, dilation = 1, groups = 1;
  int64_t top = 0, left = 0;
  DType dtype = DType::f32;  // of x, weights, bias, y and their gradients but those below
  bool bias = false;         // the forward pass adds one: a value a channel of y
  bool tf32 = false;         // f32 factors may be rounded to TF32's 10 bits

  // NOLINTNEXTLINE(modernize-use-nullptr): it has none
  auto operator<=>(const ConvShape&) const = default;

  /// Multiplications and additions of a pass.
  double ops() const {
    const int64_t weights = co * kh * kw * (ci / groups);
    return 2.0 * static_cast<double>(n * ho * wo) * static_cast<double>(weights);
  }
  /// Of a pass, whichever it is: each of x, weights and y is read or written once.
  Cost cost() const {
    const int64_t values = n * h * w * ci + n * ho * wo * co + co * kh * kw * (ci / groups);
    return {.bytes = static_cast<double>(values) * (dtype == DType::f32 ? 4 : 2), .ops = ops()};
  }
};

enum class ConvPass : int32_t {
  forward,  // x, weights -> y
  data,     // dy, weights -> dx
  weights,  // dy, x -> dweights
};

/// What cuDNN keeps for one queue: its handle and the plans made so far. Not for two threads at
/// once.
struct ConvVendor {
  void* handle = nullptr;
};
/// Null where the library was built without cuDNN.
inline const Entry<ConvVendor(Queue)> make_conv_vendor{"make_conv_vendor"};
inline const Entry<void(ConvVendor)> free_conv_vendor{"free_conv_vendor"};

/// cuDNN's versions as it writes them, 91900 being 9.19.0: that which the library was built with,
/// and that which is loaded. 0 without cuDNN.
struct ConvVendorVersion {
  int64_t built = 0, loaded = 0;
};
inline const Entry<ConvVendorVersion()> conv_vendor_version{"conv_vendor_version"};

/// Bytes of workspace that the pass needs; -1 where no plan serves the shape without converting
/// layouts, with tensor cores where the type (or tf32) has them, and, where asked,
/// deterministically. The answer is kept: only the first one for a shape takes time. To be asked
/// for before work is captured: a plan may load code, which a capture can refuse.
inline const Entry<int64_t(ConvVendor, ConvPass, const ConvShape&, bool deterministic)>
    plan_conv_vendor{"plan_conv_vendor"};
/// At most `most` plans that keep those rules, the heuristics' first choice first. To be asked for
/// as plan_conv_vendor.
inline const Entry<std::vector<VendorPlan>(ConvVendor, ConvPass, const ConvShape&,
                                           bool deterministic, int most)>
    list_conv_plans{"list_conv_plans"};
/// From now on the pass is computed by the plan of that name; false where there is none, and
/// nothing changes.
inline const Entry<bool(ConvVendor, ConvPass, const ConvShape&, bool deterministic,
                        const std::string& name)>
    take_conv_plan{"take_conv_plan"};

/// Runs a pass that plan_conv_vendor served. The result has the type of the images, dweights too;
/// `bias` is null unless the shape says that there is one.
inline const Entry<void(ConvVendor, ConvPass, const ConvShape&, bool deterministic,
                        const void* first, const void* second, const void* bias, void* result,
                        void* workspace)>
    run_conv_vendor{"run_conv_vendor"};

/// The own kernels. y = conv(x, weights) + bias; bias may be null. Sums in a fixed order.
inline const Entry<void(Queue, const ConvShape&, const void* x, const void* weights,
                        const void* bias, void* y)>
    conv_direct_forward{"conv_direct_forward"};
/// dx, from dy and the weights.
inline const Entry<void(Queue, const ConvShape&, const void* dy, const void* weights, void* dx)>
    conv_direct_data{"conv_direct_data"};
/// dweights in f32, from dy and x.
inline const Entry<void(Queue, const ConvShape&, const void* dy, const void* x, float* dweights)>
    conv_direct_weights{"conv_direct_weights"};

/// The same where groups, ci and co are one number: a channel of x makes one of y.
inline const Entry<void(Queue, const ConvShape&, const void* x, const void* weights,
                        const void* bias, void* y)>
    conv_depthwise_forward{"conv_depthwise_forward"};
inline const Entry<void(Queue, const ConvShape&, const void* dy, const void* weights, void* dx)>
    conv_depthwise_data{"conv_depthwise_data"};
/// Slices of the pixels whose sums are made side by side, by the shape alone.
inline int64_t depthwise_slices(const ConvShape& s) {
  constexpr int64_t kMost = 64, kPixels = 256;  // a slice has at least so many
  const int64_t slices = (s.n * s.ho * s.wo + kPixels - 1) / kPixels;
  return slices < kMost ? slices : kMost;
}
/// dweights in f32; partial: [depthwise_slices, kh * kw, co]. Sums in a fixed order.
inline const Entry<void(Queue, const ConvShape&, const void* dy, const void* x, float* partial,
                        float* dweights)>
    conv_depthwise_weights{"conv_depthwise_weights"};

/// dbias[o] = sum of dy[row, o], in f32; dy is [rows, channels]. One block a few channels, so the
/// order of the sum is fixed.
inline const Entry<void(Queue, DType, int64_t rows, int64_t channels, const void* dy, float* dbias)>
    sum_channels{"sum_channels"};

}  // namespace gliograd::kernels
