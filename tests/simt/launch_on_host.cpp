// kernels/launch.cuh on the emulator.
#include "kernels/launch.cuh"
#include "tests/simt/simt.hpp"

namespace gliograd::kernels {

void launch_on_host(const Launch& shape, Queue, void (*call)(const void* frame), const void* frame,
                    size_t frame_bytes) {
  try {
    simt::run({shape.grid, shape.block, shape.shared_bytes}, {call, frame, frame_bytes});
  } catch (const Error& error) {
    fail_launch(shape, error.what());
  }
}

}  // namespace gliograd::kernels
