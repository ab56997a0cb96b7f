// What the program looks up when it opens the GPU library, and what the library is.
#include <cuda_runtime_api.h>

#include "kernels/runtime.hpp"

extern "C" __attribute__((visibility("default"))) const gliograd::kernels::Provided*
gliograd_provided() {
  return gliograd::kernels::provided_here();
}

namespace gliograd::kernels {
namespace {

LibraryFacts facts() {
  return {
      .machine_code = {GLIOGRAD_CUDA_SASS}, .ptx = GLIOGRAD_CUDA_PTX, .toolkit = CUDART_VERSION};
}

const Provide<library_facts> provide_library_facts{facts};

}  // namespace
}  // namespace gliograd::kernels
