// The one door through which every kernel is launched: it gives the launch a name, notes what it
// costs (queue.hpp), and turns what the runtime refuses into an error that names the kernel.
#pragma once
#include "kernels/gpu/queue.hpp"

#ifndef __CUDACC__
#include <tuple>
#include <type_traits>
#endif

namespace gliograd::kernels {

[[noreturn]] inline void fail_launch(const Launch& shape, const char* why) {
  const auto text = [](dim3 d) {
    return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
  };
  throw DeviceError(std::string(shape.name) + ": launch of grid " + text(shape.grid) + ", block " +
                    text(shape.block) + ", " + std::to_string(shape.shared_bytes) +
                    " bytes of shared memory: " + why);
}

#ifdef __CUDACC__

#define GG_DYNAMIC_SHARED(type, name)                                \
  extern __shared__ __align__(16) unsigned char gg_dynamic_shared[]; \
  type* name = reinterpret_cast<type*>(gg_dynamic_shared)

template <class... Parameters, class... Arguments>
void start_kernel(const Launch& shape, Queue queue, void (*kernel)(Parameters...),
                  const Arguments&... arguments) {
  constexpr size_t kWithoutAsking = 48 << 10;
  if (shape.shared_bytes > kWithoutAsking) {
    const cudaError_t status = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                                    cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                    static_cast<int>(shape.shared_bytes));
    if (status != cudaSuccess) fail_launch(shape, cudaGetErrorString(status));
  }
  kernel<<<shape.grid, shape.block, shape.shared_bytes, stream_of(queue)>>>(
      static_cast<Parameters>(arguments)...);
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) fail_launch(shape, cudaGetErrorString(status));
}

#else

/// Elsewhere a kernel is host code, and a host of the kernels (tests/simt) runs the launch.
void launch_on_host(const Launch& shape, Queue queue, void (*call)(const void* frame),
                    const void* frame, size_t frame_bytes);

template <class... Parameters>
struct HostFrame {
  void (*kernel)(Parameters...);
  std::tuple<Parameters...> arguments;
  static void call(const void* frame) {
    const auto* self = static_cast<const HostFrame*>(frame);
    std::apply(self->kernel, self->arguments);
  }
};
template <class... Parameters, class... Arguments>
void start_kernel(const Launch& shape, Queue queue, void (*kernel)(Parameters...),
                  const Arguments&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "a kernel's parameters are copied as bytes");
  const HostFrame<Parameters...> frame{kernel, {static_cast<Parameters>(arguments)...}};
  launch_on_host(shape, queue, &HostFrame<Parameters...>::call, &frame, sizeof frame);
}

#endif

/// Queues kernel(args...) on the queue's stream. Errors: DeviceError that names the kernel.
template <class... Parameters, class... Arguments>
void launch(const Launch& shape, Queue queue, void (*kernel)(Parameters...),
            const Arguments&... arguments) {
  LaunchScope scope(queue, shape, reinterpret_cast<const void*>(kernel));
  start_kernel(shape, queue, kernel, arguments...);
  scope.done();
}

}  // namespace gliograd::kernels
