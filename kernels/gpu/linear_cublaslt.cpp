// Products through cuBLASLt: a handle a queue, an algorithm for each pass and shape.
//
// cuBLASLt's matrices are column-major, so a row-major [rows, columns] is its [columns, rows]:
// every product is asked for transposed, result and all.
#include <cublasLt.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

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
  cublasLtMatmulAlgo_t algorithm;
  int64_t workspace = 0;
};

constexpr uint64_t kMostWorkspace = 32 << 20;

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
  if (pass == LinearPass::forward && s.bias) {  // one value a row of d: a column of y
    set(p.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(p.operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(s.dtype));
  }
  return p;
}

struct Vendor {
  explicit Vendor(Queue of) : queue(of) { check(cublasLtCreate(&handle), "handle"); }
  ~Vendor() { cublasLtDestroy(handle); }
  Vendor(const Vendor&) = delete;
  Vendor& operator=(const Vendor&) = delete;

  // As many as a program that asks for ever new shapes may keep.
  static constexpr size_t kMostProducts = 256;

  const std::optional<Product>& product(LinearPass pass, const LinearShape& shape) {
    const auto key = std::tuple(pass, shape);
    const auto found = products.find(key);
    if (found != products.end()) return found->second;
    if (products.size() >= kMostProducts) products.clear();
    return products[key] = choose(pass, shape);
  }

  std::optional<Product> choose(LinearPass pass, const LinearShape& shape) {
    Product p = product_of(pass, shape);
    cublasLtMatmulPreference_t made = nullptr;
    check(cublasLtMatmulPreferenceCreate(&made), "preference");
    const Preference preference(made);
    set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostWorkspace);
    // Parts of a sum are joined in f32 in a fixed order, or there are none.
    set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, p.operation.get(), p.a.get(), p.b.get(), p.d.get(),
                                       p.d.get(), preference.get(), 1, &best, &found);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0)) {
      return std::nullopt;
    }
    check(status, "heuristic");
    if (best.state != CUBLAS_STATUS_SUCCESS) return std::nullopt;
    p.algorithm = best.algo;
    p.workspace = static_cast<int64_t>(best.workspaceSize);
    return p;
  }

  Queue queue;
  cublasLtHandle_t handle = nullptr;
  std::map<std::tuple<LinearPass, LinearShape>, std::optional<Product>> products;
};

Vendor& vendor_of(LinearVendor vendor) { return *static_cast<Vendor*>(vendor.handle); }

LinearVendor make(Queue queue) { return {new Vendor(queue)}; }
void free_vendor(LinearVendor vendor) { delete static_cast<Vendor*>(vendor.handle); }
int64_t version() { return static_cast<int64_t>(cublasLtGetVersion()); }

int64_t workspace_of(LinearVendor vendor, LinearPass pass, const LinearShape& shape) {
  const std::optional<Product>& product = vendor_of(vendor).product(pass, shape);
  return product ? product->workspace : -1;
}

void run(LinearVendor vendor, LinearPass pass, const LinearShape& shape, const void* first,
         const void* second, const void* bias, void* result, void* workspace) {
  Vendor& own = vendor_of(vendor);
  const std::optional<Product>& product = own.product(pass, shape);
  if (!product) throw DeviceError("cuBLASLt: no algorithm serves this product");
  if (pass == LinearPass::forward && shape.bias) {
    set(product->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  const float one = 1, zero = 0;
  LaunchScope scope(own.queue, {"cuBLASLt", kNoGrid, kNoGrid, 0, shape.cost()});
  check(cublasLtMatmul(own.handle, product->operation.get(), &one, second, product->a.get(), first,
                       product->b.get(), &zero, result, product->d.get(), result, product->d.get(),
                       &product->algorithm, workspace, static_cast<size_t>(product->workspace),
                       stream_of(own.queue)),
        "product");
  scope.done();
}

const Provide<make_linear_vendor> provide_make{make};
const Provide<free_linear_vendor> provide_free{free_vendor};
const Provide<linear_vendor_version> provide_version{version};
const Provide<plan_linear_vendor> provide_plan{workspace_of};
const Provide<run_linear_vendor> provide_run{run};

}  // namespace
}  // namespace gliograd::kernels
