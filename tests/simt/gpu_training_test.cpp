// What tests/device asks of training on a real GPU, on the emulated one.
#include "tests/support/gpu_training.hpp"

#include "tests/simt/op_cases.hpp"

using namespace gliograd;

TEST_CASE("GPU training: the checks for a real GPU hold on the emulated one") {
  const uint64_t seed = simt::fresh_seed();
  INFO("seed ", seed);
  simt::set_device({.order = simt::Order::any, .seed = seed});
  CHECK(test::GpuTrainingChecks({.scale = {.steps = 5}, .exact_steps = 3, .folds = 2}).run() == 0);
  simt::expect_nothing();
}
