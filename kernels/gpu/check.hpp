// Statuses of CUDA calls, turned into errors that name the call.
#pragma once
#include <cuda_runtime_api.h>

#include "kernels/base.hpp"

namespace gliograd::kernels {

inline void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  // Left standing, it would be blamed on whatever is launched next.
  cudaGetLastError();
  throw DeviceError(std::string(call) + ": " + cudaGetErrorString(status) + " (" +
                    cudaGetErrorName(status) + ")");
}

}  // namespace gliograd::kernels

#define GG_CUDA(call) ::gliograd::kernels::check_cuda(call, #call)
