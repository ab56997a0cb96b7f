// Which of an op's three paths serves a tensor.
#pragma once
#include "engine/tensor/tensor.hpp"

namespace gliograd {

enum class Path : uint8_t {
  reference,  // naive f64 loops that follow the formula: the specification
  cpu,        // vectorized and threaded
  cuda,       // handwritten kernels, cuDNN, cuBLASLt
};

/// f64 takes the reference on any device; other types go by device.
inline Path path_of(const Tensor& x) {
  if (x.dtype == DType::f64) return Path::reference;
  return x.device() == Device::cpu ? Path::cpu : Path::cuda;
}

/// What every op with these paths asks of its first tensor: memory, and a type that it computes in.
/// Errors: Error that begins with `op`.
inline void check_computable(const char* op, const Tensor& x) {
  GG_CHECK(x.defined() && (x.dtype == DType::f32 || x.dtype == DType::f64), op,
           ": x must be f32 or f64; got ",
           x.defined() ? concat_text(x.dtype, ' ', x.shape) : "an undefined tensor");
}

/// For an op without a cuda path.
#define GG_NO_CUDA_PATH(op) GG_CHECK(false, op, ": no cuda path; move the tensor to the cpu")

}  // namespace gliograd
