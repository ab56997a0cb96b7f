// Linear layers on a GPU: products through cuBLASLt where it has an algorithm for them, else by own
// kernels. Row-major matrices in f32, bf16 or f16, 256-byte aligned as cuBLASLt assumes; all sums
// are f32.
#pragma once
#include <string>
#include <vector>

#include "kernels/entry.hpp"
#include "kernels/vendor_plan.hpp"

namespace gliograd::kernels {

enum class LinearPass : int32_t {
  forward,  // x [n, in], weight [out, in], bias [out] or null -> y [n, out]
  data,     // dy [n, out], weight -> dx [n, in]
  weights,  // dy, x -> dweight [out, in], in f32
};

struct LinearShape {
  int64_t n = 0, in = 0, out = 0;
  DType dtype = DType::f32;  // of all but dweight
  bool bias = false;         // forward adds one, a product in its epilogue
  bool relu = false;         // forward ends in max(y, 0), likewise
  bool tf32 = false;         // f32 factors may be rounded to TF32's 10 bits

  // NOLINTNEXTLINE(modernize-use-nullptr): it has none
  auto operator<=>(const LinearShape&) const = default;

  /// Of a pass, whichever it is: each matrix is read or written once.
  Cost cost() const {
    const double values = static_cast<double>(n * in + n * out + out * in);
    return {.bytes = values * (dtype == DType::f32 ? 4 : 2),
            .ops = 2.0 * static_cast<double>(n * in) * static_cast<double>(out)};
  }
};

/// What cuBLASLt keeps for one queue: its handle and the algorithms chosen so far. Not for two
/// threads at once.
struct LinearVendor {
  void* handle = nullptr;
};
/// Null where the library was built without cuBLASLt.
inline const Entry<LinearVendor(Queue)> make_linear_vendor{"make_linear_vendor"};
inline const Entry<void(LinearVendor)> free_linear_vendor{"free_linear_vendor"};
/// As it writes it, 130100 being 13.1.0; 0 where built without it.
inline const Entry<int64_t()> linear_vendor_version{"linear_vendor_version"};

/// Bytes of workspace that the pass needs; -1 where no algorithm serves it. The heuristic's first
/// choice unless another was taken; the answer is kept. Deterministic always: no algorithm that
/// adds in an order of chance is asked for.
inline const Entry<int64_t(LinearVendor, LinearPass, const LinearShape&)> plan_linear_vendor{
    "plan_linear_vendor"};
/// At most `most` algorithms that serve it, the heuristic's first choice first.
inline const Entry<std::vector<VendorPlan>(LinearVendor, LinearPass, const LinearShape&, int most)>
    list_linear_plans{"list_linear_plans"};
/// From now on the pass is computed by the algorithm of that name; false where there is none, and
/// nothing changes.
inline const Entry<bool(LinearVendor, LinearPass, const LinearShape&, const std::string& name)>
    take_linear_plan{"take_linear_plan"};
/// Runs a pass that plan_linear_vendor served; `first` and `second` as LinearPass names them.
inline const Entry<void(LinearVendor, LinearPass, const LinearShape&, const void* first,
                        const void* second, const void* bias, void* result, void* workspace)>
    run_linear_vendor{"run_linear_vendor"};

/// The own kernel, for any shape; bias may be null. Not rounded before bias and ReLU.
inline const Entry<void(Queue, const LinearShape&, const void* x, const void* weight,
                        const void* bias, void* y)>
    linear_direct_forward{"linear_direct_forward"};

struct LinearGradients {     // null: not wanted
  void* dx = nullptr;        // [n, in]
  float* dweight = nullptr;  // [out, in]
  float* dbias = nullptr;    // [out]
};
/// All that is wanted, in one launch. dy [n, out]; weight is read for dx alone, x for dweight.
inline const Entry<void(Queue, const LinearShape&, const void* x, const void* weight,
                        const void* dy, const LinearGradients&)>
    linear_direct_backward{"linear_direct_backward"};

}  // namespace gliograd::kernels
