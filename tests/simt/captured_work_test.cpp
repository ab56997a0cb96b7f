// Captured work on the emulated GPU: replays give the bits of eager work, and what a capture
// forbids is refused by name.
#include "engine/device/captured_work.hpp"

#include "engine/ops/elementwise.hpp"
#include "engine/tensor/cast.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;
using simt::expect_nothing;
using simt::fresh_stream;

namespace {

/// x += sigmoid(x), through tensors that come and go.
void step(Stream& stream, Tensor& x) {
  Tape tape = Tape::off(stream);
  const Tensor y = sigmoid(tape, x);
  const Tensor z = add(tape, x, y);
  copy_into(x, z);
}

}  // namespace

TEST_CASE("captured work: replays are the eager steps, whatever runs between them") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  Tensor eager = from_values(*stream, {300}, std::vector<double>(300, 0.25));
  Tensor replayed = from_values(*stream, {300}, std::vector<double>(300, 0.25));
  for (int i = 0; i < 5; ++i) step(*stream, eager);

  CapturedWork work(*stream);
  work.run([&] { step(*stream, replayed); });
  const int64_t asked = work.arena().stats().source_calls;
  work.capture([&] { step(*stream, replayed); });
  CHECK(work.arena().stats().source_calls == asked);
  CHECK(work.nodes() == 3);
  CHECK(to_values(replayed)[0] != to_values(eager)[0]);  // recorded is not run
  for (int i = 0; i < 4; ++i) {
    work.replay();
    const Tensor other = from_values(*stream, {300}, std::vector<double>(300, -7.0));
    step(*stream, eager = other);  // of the size of what the graph writes
  }
  Tensor again = from_values(*stream, {300}, std::vector<double>(300, 0.25));
  for (int i = 0; i < 5; ++i) step(*stream, again);
  CHECK(to_values(replayed) == to_values(again));
  expect_nothing();
}

TEST_CASE("captured work: more memory, waiting and reading back are refused; the stream goes on") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  Tensor x = from_values(*stream, {64}, std::vector<double>(64, 1.0));
  {
    CapturedWork work(*stream);
    CHECK_THROWS_WITH_AS(work.replay(), doctest::Contains("capture() comes first"), Error);
    work.run([&] { step(*stream, x); });
    CHECK_THROWS_WITH_AS(work.capture([&] { (void)zeros(*stream, {100'000}); }),
                         doctest::Contains("a captured step asked for"), WorkError);
    CHECK_THROWS_AS(work.capture([&] { (void)to_values(x); }), kernels::DeviceError);
    CHECK_THROWS_AS(work.capture([&] { (void)stream->read_state(); }), kernels::DeviceError);
    work.capture([&] { step(*stream, x); });
    work.replay();
    CHECK_THROWS_WITH_AS(work.capture([&] { step(*stream, x); }), doctest::Contains("already"),
                         Error);
  }
  CHECK(to_values(x)[0] > 2);
  const std::unique_ptr<Stream> cpu = Stream::cpu();
  CHECK_THROWS_WITH_AS(CapturedWork{*cpu}, doctest::Contains("must be a GPU's"), Error);
  CHECK_THROWS_WITH_AS(stream->use(cpu->allocator()), doctest::Contains("another stream"), Error);
  expect_nothing();
}
