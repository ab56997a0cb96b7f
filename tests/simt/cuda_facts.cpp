// What the CUDA runtime says of the emulated GPU that never changes: errors in words, versions,
// what a kernel may take. All else: cuda_runtime.cpp.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>

#include "tests/simt/machine.hpp"

extern "C" {

const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaSuccess ? "cudaSuccess" : "emulated";
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted under capture";
    case cudaErrorStreamCaptureInvalidated: return "an earlier error has ended the capture";
    case cudaErrorStreamCaptureUnjoined: return "a stream joined the capture and did not come back";
    case cudaErrorStreamCaptureIsolation: return "an event from outside of the capture";
    case cudaErrorNotReady: return "not ready";
    default: return "an error of the emulated GPU";
  }
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

// A kernel here has no registers; a multiprocessor holds 2048 threads and 227 KiB.
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  std::memset(attributes, 0, sizeof *attributes);
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads,
                                                          size_t dynamic_bytes) {
  const size_t by_threads = 2048 / static_cast<size_t>(threads);
  *blocks = static_cast<int>(
      dynamic_bytes == 0 ? by_threads
                         : std::min(by_threads, gliograd::simt::kMostSharedBytes / dynamic_bytes));
  return cudaSuccess;
}

}  // extern "C"
