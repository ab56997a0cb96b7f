#include "engine/ops/sample.hpp"

#include "tests/ops/augment_reference.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using gliograd::test::contains;
using gliograd::test::cpu_stream;
using gliograd::test::error_of;
using gliograd::test::TestSet;

TEST_CASE("sample: a center cut by hand") {
  // One 3 by 4 slice of two channels; window 1 by 2 begins at row 1, column 1.
  std::vector<uint8_t> images(24);
  for (size_t i = 0; i < 24; ++i) images[i] = static_cast<uint8_t>(10 * i);
  const std::vector<uint8_t> masks = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  const std::vector<int32_t> patients = {0};
  const std::vector<ChannelScale> scales = {{1, 0}, {0.5f, -3}};
  ResidentSet set{images.data(), masks.data(), patients.data(), scales.data(), 1, 3, 4, 2, 1};
  InputSpec input{
      .sequence_count = 2, .sequences = {1, 0}, .mask = MaskUse::channel, .height = 1, .width = 2};
  const int32_t slices[] = {0};
  // Channel 1 of pixels 5 and 6 is 110 and 130, channel 0 is 100 and 120.
  const SampleBatch batch = sample(cpu_stream(), set, input, slices, WithMasks::yes);
  CHECK(batch.images.shape == Shape{1, 1, 2, 3});
  CHECK(test::values(batch.images) == std::vector<double>{52, 100, 1, 62, 120, 0});
  CHECK(batch.masks.shape == Shape{1, 1, 2});
  CHECK(batch.masks.at<uint8_t>(0) == 1);
  CHECK(batch.masks.at<uint8_t>(1) == 0);
  input.mask = MaskUse::multiply;
  CHECK(test::values(sample(cpu_stream(), set, input, slices).images) ==
        std::vector<double>{52, 100, 0, 0});
  input.mask = MaskUse::raw_zero;
  CHECK(test::values(sample(cpu_stream(), set, input, slices).images) ==
        std::vector<double>{52, 100, -3, 0});
  input.mask = MaskUse::channel;
  input.sequence_count = 0;  // the mask alone
  CHECK(test::values(sample(cpu_stream(), set, input, slices).images) == std::vector<double>{1, 0});
}

TEST_CASE("sample: an 80 cut of 128 begins at 24") {
  const TestSet data(2, 128, 128, 3, 4);
  const InputSpec input{.sequence_count = 1, .sequences = {1}, .height = 80, .width = 80};
  const int32_t slices[] = {1};
  const SampleBatch batch = sample(cpu_stream(), data.set, input, slices);
  const uint8_t raw = data.images[((128 + 24) * 128 + 24) * 3 + 1];
  CHECK(batch.images.at<float>(0) == data.scales[4].a * raw + data.scales[4].b);
}

TEST_CASE("sample: what does not exist is refused in words") {
  TestSet data(2, 10, 12, 2, 3);
  const int32_t slices[] = {0};
  const auto error = [&](const InputSpec& input, int32_t slice = 0) {
    const int32_t one[] = {slice};
    return error_of([&] { sample(cpu_stream(), data.set, input, one); });
  };
  const InputSpec good{.sequence_count = 1, .height = 8, .width = 8};
  CHECK(sample(cpu_stream(), data.set, good, slices).images.size() == 64);
  InputSpec bad = good;
  bad.height = 11;
  CHECK(contains(error(bad), "window must be 1 to 10 by 1 to 12 pixels (as stored); got 11 by 8"));
  bad = good;
  bad.sequences[0] = 2;
  CHECK(contains(error(bad), "sequence 2 of 2 does not exist"));
  bad = good;
  bad.sequence_count = 0;
  CHECK(contains(error(bad), "needs a sequence or the mask"));
  bad.sequence_count = 9;
  CHECK(contains(error(bad), "at most 8 sequences"));
  CHECK(contains(error(good, 2), "slice 2 of 2 does not exist"));
  CHECK(contains(error(good, -1), "slice -1 of 2"));
  CHECK(
      contains(error_of([&] { sample(cpu_stream(), data.set, good, {}); }), "at least one slice"));
  ResidentSet wide = data.set;
  wide.width = 40000;  // nothing is read
  CHECK(contains(error_of([&] { sample(cpu_stream(), wide, good, slices); }),
                 "stored windows must be at most 32768 pixels high and wide; got 10 by 40000"));
  data.set.masks = nullptr;
  bad = good;
  bad.mask = MaskUse::multiply;
  CHECK(contains(error(bad), "uses the mask, and the set has none"));
  CHECK(contains(error_of([&] { sample(cpu_stream(), data.set, good, slices, WithMasks::yes); }),
                 "uses the mask, and the set has none"));
}
