// Every handwritten kernel once on a real GPU, at odd sizes, against the CPU. A plain program, and
// the one that compute-sanitizer watches (bench/gpu.sh --part sanitize): exit 0 where all agrees, 1
// where something does not, 77 (skipped) without a GPU.
#include "tests/device/device_test.hpp"
#include "tests/support/gpu_kernels.hpp"

int main() {
  using namespace gliograd;
  return test::run_device_test("kernels", [] {
    const auto gpu = Stream::cuda(0, {.random = {.seed = 5}});
    const auto cpu = Stream::cpu({.random = {.seed = 5}});
    test::EveryKernel every(*gpu, *cpu);
    every.run();
    for (const std::string& name : every.names()) std::printf("ran: %s\n", name.c_str());
    for (const std::string& line : every.failures()) std::printf("FAILED: %s\n", line.c_str());
    std::printf("%d compared, %zu failed\n", every.compared(), every.failures().size());
    return static_cast<int>(every.failures().size());
  });
}
