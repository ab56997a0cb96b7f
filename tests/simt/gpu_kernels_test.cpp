// What compute-sanitizer watches on a real GPU, on the emulated one; and that it leaves out no
// kernel.
#include "tests/support/gpu_kernels.hpp"

#include "tests/simt/kernel_names.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;

TEST_CASE("GPU kernels: the checks for a real GPU run every kernel and hold on the emulated one") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  const auto gpu = Stream::cuda(0, {.random = {.seed = 5}});
  const auto cpu = Stream::cpu({.random = {.seed = 5}});
  test::EveryKernel every(*gpu, *cpu);
  every.run();
  for (const std::string& failure : every.failures()) FAIL_CHECK(failure);
  CHECK(every.compared() > 300);
  const std::set<std::string> wanted = simt::kernel_names();
  CHECK(wanted.size() > 30);
  for (const std::string& name : wanted) {
    CHECK_MESSAGE(every.names().count(name) == 1, name, " did not run");
  }
  simt::expect_nothing();
}
