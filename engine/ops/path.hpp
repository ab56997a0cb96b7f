// Which of an op's three paths serves a tensor.
#pragma once
#include "engine/tensor/cast.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

enum class Path : uint8_t {
  reference,  // naive f64 loops that follow the formula: the specification
  cpu,        // vectorized and threaded; bf16 tensors are nhwc, sums in f32
  cuda,       // handwritten kernels, cuDNN, cuBLASLt
};

/// f64 takes the reference, which is the CPU's; other types go by device.
inline Path path_of(const Tensor& x) {
  if (x.device() == Device::cuda) return Path::cuda;
  return x.dtype == DType::f64 ? Path::reference : Path::cpu;
}

/// What every op with these paths asks of its first tensor: memory, and a type that it computes in.
/// Errors: Error that begins with `op`.
inline void check_computable(const char* op, const Tensor& x) {
  GG_CHECK(x.defined(), op, ": x must be a tensor; got an undefined one");
  if (x.device() == Device::cuda) {
    GG_CHECK(x.dtype == DType::f32 || x.dtype == DType::bf16 || x.dtype == DType::f16, op,
             ": x must be f32, bf16 or f16 on a GPU; got ", x.dtype, ' ', x.shape);
  } else {
    GG_CHECK(x.dtype == DType::f32 || x.dtype == DType::bf16 || x.dtype == DType::f64, op,
             ": x must be f32, bf16 or f64 on a CPU; got ", x.dtype, ' ', x.shape);
  }
}

/// Calls body(T{}) with the element type of a tensor on Path::cpu: float or bf16.
template <class Body>
void with_cpu_type(const Tensor& x, const Body& body) {
  x.dtype == DType::bf16 ? body(bf16{}) : body(float{});
}

/// How loops on the CPU read and write an element: bf16 in f32, rounded to nearest even on store.
inline double value_of(double x) { return x; }
inline float value_of(float x) { return x; }
inline float value_of(bf16 x) { return to_float(x); }
inline void put(double& to, double x) { to = x; }
inline void put(float& to, float x) { to = x; }
inline void put(bf16& to, float x) { to = to_bf16(x); }

/// What sums over a batch are kept in: gradients of weights and biases, losses.
inline DType sum_type(DType x) { return x == DType::f64 ? DType::f64 : DType::f32; }

}  // namespace gliograd
