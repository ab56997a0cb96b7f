// SubtypeNet trained for 50 steps on a real GPU: near the f64 reference and the CPU's loss curve;
// the replayed graph, a second run and a fold beside others with the same bits; memory that runs
// out. A plain program: exit 0 where all holds, 1 where something does not, 77 (skipped) without a
// GPU.
#include "tests/device/device_test.hpp"
#include "tests/support/gpu_training.hpp"

int main() {
  using namespace gliograd;
  return test::run_device_test("training", [] {
    return test::GpuTrainingChecks(
               {.scale =
                    {.batch = 16, .steps = 50, .slices = 31, .window = 80, .widths = "16-32-64-96"},
                .stored = 128,
                .huge = 1 << 22,
                .threads = 4})
        .run();
  });
}
