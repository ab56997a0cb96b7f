// What both floors need: the error types, element types, the opaque queue, and the cost of a piece
// of work. No Tensor, no CUDA header: .cu files and the engine both include it.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>

namespace gliograd {

/// A wrong argument, option or file: what was needed, what came, and where. The command line
/// exits 2.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Sound input, but the work failed (a full disk, a dead worker, out of memory). Exits 1.
class WorkError : public Error {
 public:
  using Error::Error;
};

namespace kernels {

/// A CUDA, cuDNN or cuBLAS call failed; the text holds the library's own words and the op.
class DeviceError : public WorkError {
 public:
  using WorkError::WorkError;
};

/// An opaque handle to a CUDA stream, or null where work runs on the calling CPU thread.
struct Queue {
  void* handle = nullptr;
};

/// What a launch must move and compute at least; a profile prints time against it.
struct Cost {
  double bytes = 0;
  double ops = 0;
};

}  // namespace kernels

/// Element types of tensors.
enum class DType : uint8_t { f64, f32, bf16, f16, u8, i32, i64 };

/// Storage of the upper half of an IEEE binary32. Conversions: kernels/half.hpp.
struct bf16 {
  uint16_t bits;
};

/// Storage of an IEEE binary16.
struct f16 {
  uint16_t bits;
};

}  // namespace gliograd
