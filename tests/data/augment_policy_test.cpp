#include "data/augment_policy.hpp"

#include "tests/data/toy_set.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using gliograd::test::contains;
using gliograd::test::error_of;

namespace {

Dataset three_channels(int64_t size) {
  Dataset set = test::toy_set({2, 1});
  set.channels = {"pre", "flair", "post"};
  set.height = set.width = size;
  set.images.assign(3 * size * size * 3, 7);
  set.masks.assign(3 * size * size, 1);
  for (Patient& patient : set.patients) {
    patient.present = {1, 1, 1};
    patient.affine = {{1, 0}, {2, -1}, {3, -2}};
  }
  check_dataset(set);
  return set;
}

}  // namespace

TEST_CASE("augment policy: presets grow from nothing to everything") {
  CHECK(augment_presets() == std::vector<std::string>{"off", "light", "full"});
  int in_light = 0;
  for (const PolicyField& field : policy_fields()) {
    if (!contains(field.name, "probability")) continue;
    CHECK_MESSAGE(augment_preset("off").*field.member == 0, field.name);
    in_light += augment_preset("light").*field.member > 0;
    const bool quarter = contains(field.name, "quarter");  // full turns by any angle
    CHECK_MESSAGE((augment_preset("full").*field.member > 0) == !quarter, field.name);
  }
  CHECK(in_light == 6);
  const InputSpec input{.sequence_count = 1, .height = 80, .width = 80};
  for (const std::string& name : augment_presets())
    check_augment_options(augment_preset(name), input);
  CHECK(contains(error_of([] { augment_preset("heavy"); }), "there are: off, light, full"));
}

TEST_CASE("augment policy: every setting can be named, and the description reads back") {
  AugmentOptions o = augment_preset("full");
  o.rotation_degrees = 12.3f;
  o.fill = Fill::edge;
  AugmentOptions back;
  for (const auto& [name, value] : describe(o)) set_augment_option(back, name, value);
  for (const PolicyField& field : policy_fields()) CHECK(back.*field.member == o.*field.member);
  CHECK(back.fill == Fill::edge);
  CHECK(contains(error_of([&] { set_augment_option(o, "rotation", "3"); }), "rotation-degrees"));
  for (const char* bad : {"181", "-1", "x", "", "1e99", "nan", "3 degrees"}) {
    CHECK(contains(error_of([&] { set_augment_option(o, "rotation-degrees", bad); }),
                   "rotation-degrees must be a number from 0 to 180"));
  }
  CHECK(contains(error_of([&] { set_augment_option(o, "fill", "black"); }), "zero or edge"));
}

TEST_CASE("augment policy: inputs name sequences, mask and window") {
  const Dataset set = three_channels(96);
  const InputSpec ours = input_spec(set, {});
  CHECK(ours.channels() == 4);
  CHECK((ours.height == 80 && ours.width == 80 && ours.mask == MaskUse::channel));
  CHECK((ours.sequences[0] == 0 && ours.sequences[1] == 1 && ours.sequences[2] == 2));
  const InputSpec paper = input_spec(set, input_preset("paper"));
  CHECK((paper.channels() == 1 && paper.sequences[0] == 1 && paper.mask == MaskUse::raw_zero));
  const InputSpec some = input_spec(set, {.sequences = "post,pre", .mask = "none", .window = 96});
  CHECK((some.sequence_count == 2 && some.sequences[0] == 2 && some.sequences[1] == 0));
  CHECK(some.height == 96);
  CHECK(input_spec(set, {.sequences = "none"}).channels() == 1);
  CHECK(input_spec(three_channels(64), {}).height == 64);  // the default fits itself to small sets
}

TEST_CASE("augment policy: inputs that a set cannot give are refused in words") {
  Dataset set = three_channels(96);
  const auto error = [&](const InputOptions& o) { return error_of([&] { input_spec(set, o); }); };
  CHECK(contains(error({.sequences = "t2"}), "no sequence \"t2\"; there are: pre, flair, post"));
  CHECK(contains(error({.sequences = "pre,"}), "no sequence \"\""));
  CHECK(contains(error({.sequences = ""}), "no sequence \"\""));
  CHECK(contains(error({.sequences = "pre,pre,pre,pre,pre,pre,pre,pre,pre"}), "at most 8"));
  CHECK(contains(error({.mask = "inside"}), "mask must be none, multiply, channel or raw-zero"));
  CHECK(contains(error({.window = 97}), "window must be 1 to 96"));
  CHECK(contains(error({.window = -4}), "window must be 1 to 96"));
  CHECK(contains(error({.sequences = "none", .mask = "multiply"}), "the input is empty"));
  set.masks.clear();
  CHECK(contains(error({}), "has no masks"));
  CHECK(contains(error_of([] { input_preset("ours"); }), "there are: default, paper"));
}

TEST_CASE("augment policy: a resident set shows each slice with its own patient's scale") {
  const Dataset set = three_channels(4);
  const Resident resident(set);
  const InputSpec input = input_spec(set, {.sequences = "post", .mask = "none"});
  const int32_t slices[] = {2};
  const Tensor x = sample(test::cpu_stream(), resident.set(), input, slices).images;
  CHECK(x.at<float>(0) == 3 * 7 - 2);
}
