// Concatenation on the emulated GPU: parts of every width, and how many launches they take.
#include "engine/ops/concat.hpp"

#include "engine/tensor/cast.hpp"
#include "kernels/launch_record.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;
using simt::expect_nothing;
using simt::fresh_stream;

namespace {

int64_t launches_of(Stream& stream, const std::string& name) {
  int64_t n = 0;
  for (const kernels::RecordedLaunch& launch : kernels::take_launches(stream.queue())) {
    n += launch.name == name ? 1 : 0;
  }
  return n;
}

// Parts of these widths, all of `rows` rows, side by side and apart again. Every third one has no
// gradient. Each value names its part, row and channel.
void check_concat(Stream& stream, DType dtype, int64_t rows, const std::vector<int64_t>& widths) {
  Tape tape(stream, dtype);
  std::vector<Tensor> parts;
  int64_t channels = 0;
  for (size_t p = 0; p < widths.size(); ++p) {
    std::vector<double> values;
    for (int64_t i = 0; i < rows * widths[p]; ++i) {
      values.push_back(static_cast<double>((7 * i + 31 * static_cast<int64_t>(p)) % 251));
    }
    parts.push_back(from_values(stream, {rows, widths[p]}, values, dtype));
    if (p % 3 != 2) parts.back() = tape.watch(parts.back());
    channels += widths[p];
  }
  const auto at = [&](int64_t row, int64_t first) {
    return static_cast<size_t>(row * channels + first);
  };
  kernels::record_launches(stream.queue(), true);
  const Tensor y = concat(tape, parts);
  const auto wanted = static_cast<int64_t>(widths.size() + 15) / 16;
  CHECK(launches_of(stream, "concat_channels") == wanted);
  const std::vector<double> whole = to_values(y);
  std::vector<double> dy;
  for (int64_t i = 0; i < rows * channels; ++i) dy.push_back(static_cast<double>(i % 241));
  const Tensor gradient = from_values(stream, y.shape, dy, dtype);
  launches_of(stream, "");
  tape.backward(y, gradient);
  CHECK(launches_of(stream, "split_channels") == wanted);
  kernels::record_launches(stream.queue(), false);
  int64_t first = 0;
  for (size_t p = 0; p < widths.size(); ++p) {
    const std::vector<double> part = to_values(parts[p]);
    std::vector<double> dx;
    if (p % 3 != 2) dx = to_values(tape.gradient(parts[p]));
    bool equal = true;
    for (int64_t i = 0; i < rows * widths[p]; ++i) {
      const size_t there = at(i / widths[p], first + i % widths[p]);
      equal = equal && whole[there] == part[static_cast<size_t>(i)];
      equal = equal && (dx.empty() || dx[static_cast<size_t>(i)] == dy[there]);
    }
    CHECK_MESSAGE(equal, "part ", p, " of width ", widths[p], " in ", dtype);
    first += widths[p];
  }
}

}  // namespace

TEST_CASE("GPU concat: parts of any width in one launch, and back in one") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    for (const int64_t rows : simt::kSizes) {
      check_concat(*stream, dtype, rows, {8, 24, 8});
      check_concat(*stream, dtype, rows, {8, 4, 8});
      check_concat(*stream, dtype, rows, {1, 7, 31, 32, 33});
    }
    check_concat(*stream, dtype, 3, {2056, 8});  // wider than a block, in units of 16 bytes
    check_concat(*stream, dtype, 3, {1031});
  }
  expect_nothing();
}

TEST_CASE("GPU concat: more parts than one launch takes") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  check_concat(*stream, DType::bf16, 5, std::vector<int64_t>(35, 8));
  std::vector<int64_t> widths;
  for (int64_t p = 0; p < 17; ++p) widths.push_back(p % 4 + 1);
  check_concat(*stream, DType::f32, 5, widths);
  expect_nothing();
}
