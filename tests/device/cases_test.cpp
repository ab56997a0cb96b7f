// Every registered case on a real GPU, in f32, bf16 and f16, forward and backward, against the f64
// reference. A plain program: exit 0 where all agree, 1 where one does not, 77 (skipped) without a
// GPU.
#include "engine/ops/case.hpp"
#include "tests/device/device_test.hpp"

namespace {

using namespace gliograd;

int compare_all(Stream& stream, uint64_t seed) {
  int compared = 0, failed = 0;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    for (const Case& c : all_cases()) {
      for (const CaseRow& row : c.rows) {
        for (const CaseOutcome& o : compare_paths(c, row, stream, seed, dtype)) {
          ++compared;
          if (o.passed) continue;
          ++failed;
          std::printf("FAILED: %s, %s: error %.3g, tolerance %.3g, seed %llu\n", o.where.c_str(),
                      name_of(dtype), o.error, o.tolerance, static_cast<unsigned long long>(seed));
        }
      }
    }
  }
  std::printf("%d compared, %d failed\n", compared, failed);
  return compared == 0 ? 1 : failed;
}

}  // namespace

int main() {
  return test::run_device_test("ops", [] {
    const std::unique_ptr<Stream> stream = Stream::cuda(0);
    int failed = 0;
    for (uint64_t seed = 1; seed <= 3; ++seed) failed += compare_all(*stream, seed);
    return failed;
  });
}
