// The GPU library as the program opens it: beside the program, GPU or no GPU.
#include "kernels/runtime.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("entry: the GPU library opens, counts its GPUs, and refuses what it does not have") {
  const std::filesystem::path library =
      std::filesystem::path(program_path()).parent_path() / "libgliograd_gpu.so";
  if (!std::filesystem::exists(library)) {
    CHECK_THROWS_WITH_AS(kernels::device_count(), doctest::Contains("no GPU library"),
                         kernels::DeviceError);
    skip("entry: the GPU library", "built without CUDA");
    return;
  }
  const int count = kernels::device_count();
  CHECK(count >= 0);
  if (count == 0) CHECK_THROWS_AS(kernels::make_queue(0), kernels::DeviceError);
  static const kernels::Entry<void()> missing{"no_such_function"};
  CHECK_THROWS_WITH_AS(missing(), doctest::Contains("the GPU library has no no_such_function"),
                       kernels::DeviceError);
}
