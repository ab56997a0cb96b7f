// Pooling on the emulated GPU where its cases do not reach: channels around every vector width,
// and what ties, infinities and NaN become.
#include "engine/ops/pool.hpp"

#include <cmath>

#include "engine/tensor/cast.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;
using simt::compare;
using simt::expect_nothing;
using simt::fresh_stream;
using simt::kSizes;
using simt::row_of;

namespace {

// The rows of an op, at other channels; those that are wider get a smaller image.
void at_channels(Stream& stream, const char* op, const char* label) {
  for (const int64_t channels : kSizes) {
    CaseRow row = row_of(op, label);
    const int64_t side = channels < 100 ? 5 : 3;
    row.inputs[0].shape = {2, side, side + 1, channels};
    compare(op, row, stream);
  }
}

struct Result {
  std::vector<double> y, dx;
};
Result max_pool_of(Stream& stream, const Shape& shape, const std::vector<double>& x, DType dtype,
                   const PoolOptions& options) {
  Tape tape(stream, dtype);
  const Tensor in = tape.watch(from_values(stream, shape, x, dtype));
  const Tensor y = max_pool(tape, in, options);
  std::vector<double> dy(y.size());
  for (size_t i = 0; i < dy.size(); ++i) dy[i] = static_cast<double>(i % 32 + 1);
  tape.backward(y, from_values(stream, y.shape, dy, dtype));
  return {to_values(y), to_values(tape.gradient(in))};
}

bool same(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("GPU max_pool: channels around every vector width; windows that overlap, or leave out") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  for (const char* label : {"2x2, odd sizes", "3x3, stride 2, padding 1, 17 channels",
                            "stride 3 leaves pixels out", "asymmetric padding"}) {
    at_channels(*stream, "max_pool", label);
  }
  CaseRow wide = row_of("max_pool", "2x2, odd sizes");
  wide.op = [](Tape& tape, const std::vector<Tensor>& in) {
    return max_pool(tape, in[0], {.kernel = 5, .stride = 3, .pad = {4, 3, 2, 4}});
  };
  for (const int64_t channels : {3, 8}) {
    wide.inputs[0].shape = {1, 4, 6, channels};
    compare("max_pool", wide, *stream);
  }
  expect_nothing();
}

TEST_CASE("GPU max_pool: the taps of ties, infinities and NaN are the CPU's") {
  const std::unique_ptr<Stream> stream = fresh_stream(), cpu = Stream::cpu();
  for (const int64_t channels : {1, 5, 8, 24}) {
    const Shape shape{2, 5, 6, channels};
    std::vector<double> x(shape.size());
    uint64_t random = simt::fresh_seed();
    INFO("seed ", random, ", ", channels, " channels");
    for (double& v : x) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      constexpr double kValues[] = {-INFINITY, -INFINITY, -1, -1, 0, 2, 2, NAN};
      v = kValues[random >> 61];
    }
    for (const PoolOptions& options :
         {PoolOptions{}, PoolOptions{.pad = Padding::all(1)},
          PoolOptions{.kernel = 3, .stride = 2, .pad = Padding::all(1)},
          PoolOptions{.kernel = 3, .stride = 2, .pad = {2, 0, 0, 1}},
          PoolOptions{.kernel = 3, .stride = 1, .pad = Padding::all(2)},
          PoolOptions{.kernel = 4, .stride = 2, .pad = Padding::all(1)}}) {
      for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
        const Result gpu = max_pool_of(*stream, shape, x, dtype, options);
        const Result wanted = max_pool_of(*cpu, shape, x, DType::f32, options);
        CHECK(same(gpu.y, wanted.y));
        // Sums of small whole numbers: exact in f32, then rounded once.
        CHECK(same(gpu.dx, to_values(from_values(*cpu, shape, wanted.dx, dtype))));
      }
    }
  }
  expect_nothing();
}
