// Random seeds of tests: others in each run, and the same again where a failed test says how.
#pragma once
#include <cstdint>

namespace gliograd::test {

/// The next seed of the test case that runs. GLIOGRAD_TEST_SEED in the environment, which a test
/// that fails prints, gives the seeds of that run again, whichever tests run beside it.
uint64_t fresh_seed();

}  // namespace gliograd::test
