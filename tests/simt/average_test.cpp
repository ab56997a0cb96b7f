// Averages on the emulated GPU at sizes around every cut.
#include "engine/ops/pool.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;
using simt::compare;
using simt::expect_nothing;
using simt::fresh_stream;
using simt::kSizes;
using simt::row_of;

TEST_CASE("GPU pools: averages of windows and of whole images at every number of channels") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  for (const int64_t channels : kSizes) {
    CaseRow row = row_of("average_pool", "3x3, padding counts, 17 channels");
    row.inputs[0].shape = {1, 5, 4, channels};
    compare("average_pool", row, *stream, 2);
    row = row_of("global_average_pool", "blocked, 20 channels");
    row.inputs[0].shape = {2, 3, 5, channels};
    compare("global_average_pool", row, *stream, 10);  // one channel's sum may cancel
  }
  for (const int64_t pixels : {1, 7, 31, 33, 257, 1031}) {
    CaseRow row = row_of("global_average_pool", "blocked, 20 channels");
    row.inputs[0].shape = {2, pixels, 1, 16};
    compare("global_average_pool", row, *stream, 10);
  }
  expect_nothing();
}
