// Products through cuBLASLt: a handle a queue, a plan (an algorithm) for each pass and shape.
//
// cuBLASLt's matrices are column-major, so a row-major [rows, columns] is its [columns, rows]:
// every product is asked for transposed, result and all.
#include <cublasLt.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels/gpu/plan_table.hpp"
#include "kernels/gpu/queue.hpp"
#include "kernels/linear.hpp"

namespace gliograd::kernels {
namespace {

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw DeviceError(std::string("cuBLASLt: ") + what + ": " + cublasLtGetStatusString(status) +
                    " (" + cublasLtGetStatusName(status) + ")");
}

cudaDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return CUDA_R_32F;
    case DType::bf16: return CUDA_R_16BF;
    case DType::f16: return CUDA_R_16F;
    default: throw DeviceError("cuBLASLt: a product is of f32, bf16 or f16");
  }
}

template <class T, cublasStatus_t (*kDestroy)(T)>
struct Destroy {
  using pointer = T;
  void operator()(T handle) const { kDestroy(handle); }
};
template <class T, cublasStatus_t (*kDestroy)(T)>
using Owned = std::unique_ptr<std::remove_pointer_t<T>, Destroy<T, kDestroy>>;
using Matrix = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

/// Row-major [rows, columns].
Matrix matrix(DType dtype, int64_t rows, int64_t columns) {
  cublasLtMatrixLayout_t made = nullptr;
  check(cublasLtMatrixLayoutCreate(&made, type_of(dtype), static_cast<uint64_t>(columns),
                                   static_cast<uint64_t>(rows), columns),
        "matrix");
  return Matrix(made);
}

template <class T>
void set(const Operation& operation, cublasLtMatmulDescAttributes_t name, const T& value) {
  check(cublasLtMatmulDescSetAttribute(operation.get(), name, &value, sizeof value), "operation");
}
template <class T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t name, const T& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.get(), name, &value, sizeof value),
        "preference");
}

// d = op(a) op(b), in cuBLASLt's columns.
struct Product {
  Operation operation;
  Matrix a, b, d;
};

struct Plan {
  cublasLtMatmulAlgo_t algorithm;
  VendorPlan facts;
};

constexpr uint64_t kMostWorkspace = 32 << 20;

constexpr uintptr_t kAligned = 256;  // as the blocks of memory that tensors lie in

// In every pass a is LinearPass's second matrix and b its first.
Product product_of(LinearPass pass, const LinearShape& s) {
  Product p;
  cublasLtMatmulDesc_t made = nullptr;
  check(cublasLtMatmulDescCreate(&made, s.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                                 CUDA_R_32F),
        "operation");
  p.operation.reset(made);
  cublasOperation_t of_a = CUBLAS_OP_N, of_b = CUBLAS_OP_N;
  switch (pass) {
    case LinearPass::forward:  // y' = weight x'
      of_a = CUBLAS_OP_T;
      p.a = matrix(s.dtype, s.out, s.in);
      p.b = matrix(s.dtype, s.n, s.in);
      p.d = matrix(s.dtype, s.n, s.out);
      break;
    case LinearPass::data:  // dx' = weight' dy'
      p.a = matrix(s.dtype, s.out, s.in);
      p.b = matrix(s.dtype, s.n, s.out);
      p.d = matrix(s.dtype, s.n, s.in);
      break;
    case LinearPass::weights:  // dweight' = x' dy
      of_b = CUBLAS_OP_T;
      p.a = matrix(s.dtype, s.n, s.in);
      p.b = matrix(s.dtype, s.n, s.out);
      p.d = matrix(DType::f32, s.out, s.in);
      break;
  }
  set(p.operation, CUBLASLT_MATMUL_DESC_TRANSA, of_a);
  set(p.operation, CUBLASLT_MATMUL_DESC_TRANSB, of_b);
  if (pass == LinearPass::forward && s.relu) {
    set(p.operation, CUBLASLT_MATMUL_DESC_EPILOGUE,
        s.bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU);
  } else if (pass == LinearPass::forward && s.bias) {
    set(p.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
  }
  if (pass == LinearPass::forward && s.bias) {  // one value a row of d: a column of y
    set(p.operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(s.dtype));
    // The heuristic reads its alignment off the pointer, so it must see one as run() will set.
    set(p.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, reinterpret_cast<const void*>(kAligned));
  }
  return p;
}

// "algorithm 21: 1=20 2=1": its number and its knobs by cuBLASLt's.
std::string name_of(const cublasLtMatmulAlgo_t& algorithm) {
  const auto knob = [&](cublasLtMatmulAlgoConfigAttributes_t attribute, auto value) {
    size_t written = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, sizeof value, &written);
    // What a version does not know of an algorithm is no knob of it.
    return status == CUBLAS_STATUS_SUCCESS ? std::optional<int64_t>(value) : std::nullopt;
  };
  std::string name =
      "algorithm " + std::to_string(knob(CUBLASLT_ALGO_CONFIG_ID, int32_t{}).value_or(-1)) + ":";
  const auto add = [&](cublasLtMatmulAlgoConfigAttributes_t attribute, auto type) {
    if (const std::optional<int64_t> value = knob(attribute, type)) {
      name += " " + std::to_string(attribute) + "=" + std::to_string(*value);
    }
  };
  add(CUBLASLT_ALGO_CONFIG_TILE_ID, uint32_t{});
  add(CUBLASLT_ALGO_CONFIG_SPLITK_NUM, int32_t{});
  add(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, uint32_t{});
  add(CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, uint32_t{});
  add(CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, uint32_t{});
  add(CUBLASLT_ALGO_CONFIG_STAGES_ID, uint32_t{});
  add(CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, uint16_t{});
  add(CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, uint16_t{});
  return name;
}

struct Vendor {
  explicit Vendor(Queue of) : queue(of) { check(cublasLtCreate(&handle), "handle"); }
  ~Vendor() { cublasLtDestroy(handle); }
  Vendor(const Vendor&) = delete;
  Vendor& operator=(const Vendor&) = delete;

  using Key = std::tuple<LinearPass, LinearShape>;

  const Product& product(LinearPass pass, const LinearShape& shape) {
    const Key key(pass, shape);
    const auto found = products.find(key);
    if (found != products.end()) return found->second;
    if (products.size() >= kMostProducts) products.clear();
    return products.emplace(key, product_of(pass, shape)).first->second;
  }

  auto finder(LinearPass pass, const LinearShape& shape) {
    return [=, this](int most, const std::string& name) {
      return find(product(pass, shape), most, name);
    };
  }
  const std::optional<Plan>& plan(LinearPass pass, const LinearShape& shape) {
    return plans.plan({pass, shape}, finder(pass, shape));
  }

  std::vector<Plan> find(const Product& p, int most, const std::string& name) const {
    cublasLtMatmulPreference_t made = nullptr;
    check(cublasLtMatmulPreferenceCreate(&made), "preference");
    const Preference preference(made);
    set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostWorkspace);
    // Parts of a sum are joined in f32 in a fixed order, or there are none.
    set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    constexpr int kSearched = 32;  // for a name: beyond these nothing is offered
    std::vector<cublasLtMatmulHeuristicResult_t> offered(
        static_cast<size_t>(name.empty() ? most : kSearched));
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle, p.operation.get(), p.a.get(), p.b.get(), p.d.get(), p.d.get(), preference.get(),
        static_cast<int>(offered.size()), offered.data(), &count);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) return {};
    check(status, "heuristic");
    std::vector<Plan> found;
    for (int i = 0; i < count; ++i) {
      const cublasLtMatmulHeuristicResult_t& one = offered[static_cast<size_t>(i)];
      if (one.state != CUBLAS_STATUS_SUCCESS) continue;
      Plan plan{one.algo, {name_of(one.algo), static_cast<int64_t>(one.workspaceSize)}};
      if (!name.empty() && plan.facts.name != name) continue;
      const bool known = std::any_of(found.begin(), found.end(), [&](const Plan& other) {
        return other.facts.name == plan.facts.name;
      });
      if (known) continue;
      found.push_back(std::move(plan));
      if (!name.empty()) break;
    }
    return found;
  }

  // As many as a program that asks for ever new shapes may keep.
  static constexpr size_t kMostProducts = 256;

  Queue queue;
  cublasLtHandle_t handle = nullptr;
  std::map<Key, Product> products;
  PlanTable<Key, Plan> plans;
};

Vendor& vendor_of(LinearVendor vendor) { return *static_cast<Vendor*>(vendor.handle); }

LinearVendor make(Queue queue) { return {new Vendor(queue)}; }
void free_vendor(LinearVendor vendor) { delete static_cast<Vendor*>(vendor.handle); }
int64_t version() { return static_cast<int64_t>(cublasLtGetVersion()); }

int64_t workspace_of(LinearVendor vendor, LinearPass pass, const LinearShape& shape) {
  const std::optional<Plan>& plan = vendor_of(vendor).plan(pass, shape);
  return plan ? plan->facts.workspace : -1;
}

std::vector<VendorPlan> list(LinearVendor vendor, LinearPass pass, const LinearShape& shape,
                             int most) {
  Vendor& own = vendor_of(vendor);
  std::vector<VendorPlan> all;
  for (const Plan& plan : own.plans.list({pass, shape}, own.finder(pass, shape), most)) {
    all.push_back(plan.facts);
  }
  return all;
}

bool take(LinearVendor vendor, LinearPass pass, const LinearShape& shape, const std::string& name) {
  Vendor& own = vendor_of(vendor);
  return own.plans.take({pass, shape}, own.finder(pass, shape), name);
}

void run(LinearVendor vendor, LinearPass pass, const LinearShape& shape, const void* first,
         const void* second, const void* bias, void* result, void* workspace) {
  Vendor& own = vendor_of(vendor);
  const std::optional<Plan>& plan = own.plan(pass, shape);
  if (!plan) throw DeviceError("cuBLASLt: no algorithm serves this product");
  const Product& product = own.product(pass, shape);
  if (pass == LinearPass::forward && shape.bias) {
    set(product.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  const float one = 1, zero = 0;
  LaunchScope scope(own.queue, {"cuBLASLt", kNoGrid, kNoGrid, 0, shape.cost()});
  check(cublasLtMatmul(own.handle, product.operation.get(), &one, second, product.a.get(), first,
                       product.b.get(), &zero, result, product.d.get(), result, product.d.get(),
                       &plan->algorithm, workspace, static_cast<size_t>(plan->facts.workspace),
                       stream_of(own.queue)),
        "product");
  scope.done();
}

const Provide<make_linear_vendor> provide_make{make};
const Provide<free_linear_vendor> provide_free{free_vendor};
const Provide<linear_vendor_version> provide_version{version};
const Provide<plan_linear_vendor> provide_plan{workspace_of};
const Provide<list_linear_plans> provide_list{list};
const Provide<take_linear_plan> provide_take{take};
const Provide<run_linear_vendor> provide_run{run};

}  // namespace
}  // namespace gliograd::kernels
