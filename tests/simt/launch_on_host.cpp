// kernels/gpu/launch.cuh on the emulator.
#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/gpu/launch.cuh"
#include "tests/simt/runtime.hpp"
#include "tests/simt/simt.hpp"

namespace gliograd::kernels {

void launch_on_host(const Launch& launch, Queue queue, void (*call)(const void* frame),
                    const void* frame, size_t frame_bytes) {
  const simt::Shape shape{launch.grid, launch.block, launch.shared_bytes};
  try {
    simt::check_shape(shape);
  } catch (const Error& error) {
    fail_launch(launch, error.what());
  }
  // The caller's frame is gone when the work runs; aligned for any parameter.
  const size_t words = (frame_bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t);
  const auto kept = std::make_shared<std::vector<std::max_align_t>>(words);
  std::memcpy(kept->data(), frame, frame_bytes);
  simt::queue_work(stream_of(queue), [=] { simt::run(shape, {call, kept->data(), frame_bytes}); });
}

}  // namespace gliograd::kernels
