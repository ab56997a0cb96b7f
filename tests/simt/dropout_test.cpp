// Dropout on the emulated GPU: the elements that the CPU drops, and no others.
#include "engine/ops/dropout.hpp"

#include "engine/tensor/cast.hpp"
#include "kernels/philox.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;
using simt::compare;
using simt::expect_nothing;
using simt::fresh_seed;
using simt::fresh_stream;
using simt::kSizes;
using simt::row_of;

namespace {

// Dropout of ones, 0 or 1 / (1 - p), and its gradient for a dy of ones.
struct Result {
  std::vector<double> y, dx;
};
Result dropout_of_ones(Stream& stream, const Shape& shape, const DropoutOptions& options,
                       DType dtype = DType::f32) {
  Tape tape(stream, dtype);
  const std::vector<double> ones(shape.size(), 1);
  const Tensor x = tape.watch(from_values(stream, shape, ones, dtype));
  const Tensor y = dropout(tape, x, options);
  tape.backward(y, from_values(stream, shape, ones, dtype));
  return {to_values(y), to_values(tape.gradient(x))};
}

std::vector<bool> kept(const std::vector<double>& y) {
  std::vector<bool> out;
  for (const double v : y) out.push_back(v != 0);
  return out;
}

}  // namespace

TEST_CASE("GPU dropout: samples of every length against the f64 reference") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  CaseRow row = row_of("dropout", "odd sizes");
  for (const int64_t elements : kSizes) {
    row.inputs[0].shape = {3, elements};
    compare("dropout", row, *stream);
  }
  expect_nothing();
}

TEST_CASE("GPU dropout: drops what the CPU drops, wherever the step stands") {
  const auto seed = static_cast<uint32_t>(fresh_seed());
  INFO("seed ", seed);
  const StreamOptions options{.random = {.seed = seed, .repeat = 3, .fold = 7, .inner = 2}};
  simt::set_device({.order = simt::Order::any, .seed = seed});
  const std::unique_ptr<Stream> gpu = Stream::cuda(0, options), cpu = Stream::cpu(options);
  for (const auto& [epoch, draw] :
       {std::pair{0, 0}, {5, 0}, {5, 96}, {16'777'215, 2'000'000'000}}) {
    StepState state;
    state.epoch = epoch;
    state.draw = draw;
    gpu->write_state(state);
    cpu->write_state(state);
    for (const Shape& shape : {Shape{5, 24}, Shape{4, 7, 3}, Shape{33}, Shape{1, 1031}}) {
      const DropoutOptions drop{.probability = 0.4, .layer = 65535};
      const Result wanted = dropout_of_ones(*cpu, shape, drop);
      const Result found = dropout_of_ones(*gpu, shape, drop);
      CHECK(found.y == wanted.y);  // to the bit
      CHECK(found.dx == wanted.dx);
      for (const DType dtype : {DType::bf16, DType::f16}) {
        const Result half = dropout_of_ones(*gpu, shape, drop, dtype);
        CHECK(kept(half.y) == kept(wanted.y));
        CHECK(kept(half.dx) == kept(wanted.y));
      }
    }
  }
  expect_nothing();
}

TEST_CASE("GPU dropout: a number that is the probability itself is kept, one below it is not") {
  const std::unique_ptr<Stream> gpu = Stream::cuda(0, {.random = {.seed = 21}});
  for (const int64_t elements : {4, 8}) {
    const kernels::PhiloxBlock block = kernels::philox({{21, 0}}, {{elements == 8, 0, 0, 4}});
    for (uint32_t e = 0; e < 4; ++e) {
      const double number = kernels::uniform(block.word[e]);
      const auto at = static_cast<size_t>(elements - 4 + e);
      CHECK(dropout_of_ones(*gpu, {1, elements}, {.probability = number}).y[at] != 0);
      CHECK(dropout_of_ones(*gpu, {1, elements}, {.probability = number + 0x1p-25}).y[at] == 0);
    }
  }
  expect_nothing();
}
