#include "engine/device/stream.hpp"

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("random key: the low word by its documented bits, at the limits") {
  CHECK(RandomKey{.seed = 9}.low_word() == 0);
  CHECK(RandomKey{.permutation = 1}.low_word() == 1u << 19);
  CHECK(RandomKey{.repeat = 1}.low_word() == 1u << 12);
  CHECK(RandomKey{.fold = 1}.low_word() == 1u << 3);
  CHECK(RandomKey{.inner = 1}.low_word() == 1);
  // All at their limits fill the word, so no two keys share one.
  const RandomKey most{.permutation = 8191, .repeat = 127, .fold = 511, .inner = 7};
  CHECK(most.low_word() == 0xffffffffu);
  const auto error = [](const RandomKey& key) { return error_of([&] { key.low_word(); }); };
  CHECK(contains(error({.permutation = 8192}), "permutation must be 0 to 8191; got 8192"));
  CHECK(contains(error({.repeat = 128}), "repeat must be 0 to 127; got 128"));
  CHECK(contains(error({.fold = 512}), "fold must be 0 to 511; got 512"));
  CHECK(contains(error({.inner = 8}), "inner must be 0 to 7; got 8"));
  CHECK(contains(error({.fold = -1}), "fold must be 0 to 511; got -1"));
  CHECK(contains(error_of([] { Stream::cpu({.random = {.fold = 512}}); }), "fold"));
  const auto stream = Stream::cpu();
  CHECK(contains(error_of([&] { stream->set_random({.inner = -1}); }), "inner"));
  CHECK(
      contains(error_of([] { Stream::cpu({.threads = 0}); }), "threads must be at least 1; got 0"));
}

TEST_CASE("stream: tensors outlive the stream that made them") {
  Tensor x;
  {
    const auto stream = Stream::cpu();
    x = zeros(*stream, {3});
  }
  x.at<float>(2) = 4;
  CHECK(values(x) == std::vector{0.0, 0.0, 4.0});
}
