#include "engine/ops/dropout.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/philox.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

// Dropout of ones: 0 or 1 / (1 - p).
std::vector<double> mask(Stream& stream, const Shape& shape, DropoutOptions options,
                         DType dtype = DType::f32) {
  Tape tape(stream, dtype);
  const Tensor x = from_values(stream, shape, std::vector<double>(shape.size(), 1), dtype);
  return values(dropout(tape, x, options));
}

}  // namespace

TEST_CASE("dropout: drops its share and keeps the mean") {
  const auto seed = static_cast<uint32_t>(fresh_seed());
  INFO("seed ", seed);
  const auto stream = Stream::cpu({.random = {.seed = seed}});
  const std::vector<double> y = mask(*stream, {100, 1000}, {.probability = 0.3});
  const double dropped =
      static_cast<double>(std::count(y.begin(), y.end(), 0.0)) / static_cast<double>(y.size());
  CHECK(std::abs(dropped - 0.3) < 0.008);  // five and a half standard deviations
  CHECK(*std::max_element(y.begin(), y.end()) == doctest::Approx(1 / 0.7));
}

TEST_CASE("dropout: an element depends on its sample's slot, not on batch or threads") {
  const auto one = Stream::cpu({.threads = 1, .random = {.seed = 5}});
  const auto two = Stream::cpu({.threads = 2, .random = {.seed = 5}});
  const Shape shape{64, 129};
  CHECK(mask(*one, shape, {}) == mask(*two, shape, {}));
  std::vector<double> all = mask(*one, {8, 33}, {});
  one->state()->draw = 3;  // the batch begins at slot 3
  const std::vector<double> tail = mask(*one, {5, 33}, {});
  CHECK(std::equal(tail.begin(), tail.end(), all.begin() + 3 * 33));
}

TEST_CASE("dropout: layer, epoch, draw and fold each change the mask; the f64 path has the same") {
  const auto stream = Stream::cpu({.random = {.seed = 5}});
  const Shape shape{4, 50};
  const std::vector<double> base = mask(*stream, shape, {});
  CHECK(mask(*stream, shape, {}) == base);
  CHECK(mask(*stream, shape, {}, DType::f64) == base);
  CHECK(mask(*stream, shape, {.layer = 1}) != base);
  stream->state()->epoch = 1;
  CHECK(mask(*stream, shape, {}) != base);
  stream->state()->epoch = 0;
  stream->set_random({.seed = 5, .fold = 1});
  CHECK(mask(*stream, shape, {}) != base);
}

TEST_CASE("dropout: the first elements by the documented recipe") {
  const auto stream = Stream::cpu({.random = {.seed = 9, .fold = 2}});
  stream->state()->epoch = 4;
  const std::vector<double> y = mask(*stream, {2, 6}, {.probability = 0.4, .layer = 7});
  for (uint32_t n = 0; n < 2; ++n) {
    for (uint32_t e = 0; e < 6; ++e) {
      const kernels::PhiloxBlock block =
          kernels::philox({{9, 2 << 3}}, {{e / 4, 7u << 16, n, 4u << 8 | 4u}});
      CHECK((y[n * 6 + e] != 0) == (kernels::uniform(block.word[e % 4]) >= 0.4));
    }
  }
}

TEST_CASE(
    "dropout: an element whose number is the probability itself is kept, one below it is not") {
  const auto stream = Stream::cpu({.random = {.seed = 21}});
  const kernels::PhiloxBlock block = kernels::philox({{21, 0}}, {{0, 0, 0, 4}});
  for (uint32_t e = 0; e < 4; ++e) {
    const double number = kernels::uniform(block.word[e]);
    for (const DType dtype : {DType::f64, DType::f32}) {
      CHECK(mask(*stream, {1, 4}, {.probability = number}, dtype)[e] != 0);
      CHECK(mask(*stream, {1, 4}, {.probability = number + 0x1p-25}, dtype)[e] == 0);
    }
  }
}

TEST_CASE("dropout: the gradient is zero where the value is, and eval is the identity") {
  Tape tape(cpu_stream());
  const Tensor x = tape.watch(tensor({2, 3}, {1, 1, 1, 1, 1, 1}, DType::f32));
  const Tensor y = dropout(tape, x);
  tape.backward(y, tensor({2, 3}, {1, 1, 1, 1, 1, 1}, DType::f32));
  CHECK(values(tape.gradient(x)) == values(y));
  Tape off = Tape::off(cpu_stream());
  CHECK(values(dropout(off, x, {.mode = Mode::eval})) == values(x));
}

TEST_CASE("dropout: errors name what was needed and what came") {
  Tape tape = Tape::off(cpu_stream(), DType::f64);
  const Tensor x = tensor({1}, {1});
  CHECK(contains(error_of([&] { dropout(tape, x, {.probability = 1}); }),
                 "dropout: probability must be at least 0 and below 1; got 1"));
  CHECK(contains(error_of([&] { dropout(tape, x, {.layer = 65536}); }),
                 "layer must be below 65536; got 65536"));
}
