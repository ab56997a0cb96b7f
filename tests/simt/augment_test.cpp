// Augmentation on the emulated GPU: the CPU's parameters, masks and values, to the bit.
#include "engine/ops/augment_cuda.hpp"
#include "engine/tensor/cast.hpp"
#include "tests/simt/op_cases.hpp"
#include "tests/simt/toy_set.hpp"

using namespace gliograd;
using simt::everything;
using simt::expect_nothing;
using simt::fresh_seed;
using simt::fresh_stream;
using simt::input_of;
using simt::Toy;

TEST_CASE("GPU augmentation: parameters, masks and values have the CPU's bits") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  const std::unique_ptr<Stream> cpu = Stream::cpu({.random = {.seed = 5, .fold = 3}});
  simt::set_device({.order = simt::Order::any, .seed = seed});
  const std::unique_ptr<Stream> gpu = Stream::cuda(0, {.random = {.seed = 5, .fold = 3}});
  for (const Fill fill : {Fill::zero, Fill::edge}) {
    for (const MaskUse use : {MaskUse::channel, MaskUse::multiply, MaskUse::raw_zero}) {
      const int channels = use == MaskUse::multiply ? 1 : 3;
      const Toy toy(5, 37, 45, channels, seed);
      const DeviceSet there(*gpu, toy.set);
      const InputSpec input = input_of(channels, use, 29, 31);
      AugmentOptions options = everything();
      options.fill = fill;
      const std::vector<int32_t> slices = {4, 0, 3, 3, 1, 2, 4};
      StepState at;
      at.epoch = static_cast<int32_t>(seed % 1000);
      at.draw = 11;
      const SampleBatch a = augment(*cpu, toy.set, input, slices, options, at, WithMasks::yes);
      const SampleBatch b = augment(*gpu, there.set(), input, slices, options, at, WithMasks::yes);
      CHECK(to_values(a.images) == to_values(b.images));
      CHECK(to_values(a.masks) == to_values(b.masks));

      // As a training step asks for it: drawn there, of eight channels, in 16 bits.
      gpu->write_state(at);
      std::vector<double> order(30, 1);
      for (size_t i = 0; i < slices.size(); ++i) order[11 + i] = slices[i];
      const Tensor epoch = from_values(*gpu, {30}, order, DType::i32);
      const BatchForm next{.images = 7, .dtype = DType::bf16, .channels = 8};
      const SampleBatch c = augment_next(*gpu, there.set(), input, epoch, options, next);
      const std::vector<double> wide = to_values(c.images);
      const std::vector<double> narrow = to_values(cast(a.images, DType::bf16));
      const auto has = static_cast<size_t>(input.channels());
      bool equal = wide.size() == narrow.size() / has * 8;
      for (size_t i = 0; equal && i < wide.size(); ++i) {
        equal = wide[i] == (i % 8 < has ? narrow[i / 8 * has + i % 8] : 0.0);
      }
      CHECK(equal);
      CHECK(!c.masks.defined());
      const Tensor table = from_values(*gpu, {5}, {10, 20, 30, 40, 50}, DType::i32);
      CHECK(to_values(rows_next(*gpu, table, epoch, 7)) ==
            std::vector<double>{50, 10, 40, 40, 20, 30, 50});
      const Tensor wide_table = from_values(*gpu, {5, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
      CHECK(to_values(rows_next(*gpu, wide_table, epoch, 3)) ==
            std::vector<double>{9, 10, 1, 2, 7, 8});
    }
  }
  expect_nothing();
}

TEST_CASE("GPU augmentation: nothing changed is the plain window; one transform at a time") {
  const std::unique_ptr<Stream> cpu = Stream::cpu(), gpu = fresh_stream();
  const Toy toy(3, 33, 33, 3, fresh_seed());
  const DeviceSet there(*gpu, toy.set);
  const InputSpec input = input_of(3, MaskUse::channel, 33, 33);
  const std::vector<int32_t> slices = {2, 0};
  CHECK(to_values(sample(*cpu, toy.set, input, slices).images) ==
        to_values(sample(*gpu, there.set(), input, slices).images));
  const auto compare = [&](const char* what, const auto& change) {
    std::vector<AugmentParams> params(2);
    for (AugmentParams& p : params) change(p);
    params[1].draw = 9;
    const SampleBatch a = augment_as(*cpu, toy.set, input, slices, params, WithMasks::yes);
    const SampleBatch b = augment_as(*gpu, there.set(), input, slices, params, WithMasks::yes);
    INFO(what);
    CHECK(to_values(a.images) == to_values(b.images));
    CHECK(to_values(a.masks) == to_values(b.masks));
  };
  for (int i = 0; i < kSquareSymmetries; ++i) {
    compare("symmetry", [&](AugmentParams& p) { p = square_symmetry(i); });
  }
  compare("rotation", [](AugmentParams& p) { p.rotation = 17; });
  compare("elastic", [](AugmentParams& p) { p.elastic = 4, p.elastic_spacing = 5; });
  compare("bias", [](AugmentParams& p) { p.channel[1].bias = 0.4f; });
  compare("blur", [](AugmentParams& p) { p.channel[0].blur = 4; });
  compare("low resolution", [](AugmentParams& p) { p.channel[2].low_resolution = 6; });
  compare("both filters", [](AugmentParams& p) {
    p.channel[2].blur = 2.2f;
    p.channel[2].low_resolution = 3.7f;
  });
  compare("rician", [](AugmentParams& p) { p.channel[0].rician = 0.3f; });
  compare("gaussian", [](AugmentParams& p) { p.channel[1].gaussian = 0.3f; });
  compare("gamma", [](AugmentParams& p) { p.channel[1].gamma = 1.7f; });
  compare("dropped", [](AugmentParams& p) { p.channel[0].dropped = 1; });
  compare("cutout", [](AugmentParams& p) {
    p.cutout[0] = 3, p.cutout[1] = 4, p.cutout[2] = 20, p.cutout[3] = 9;
  });
  expect_nothing();
}

TEST_CASE(
    "GPU augmentation: where all sequences are dropped the CPU's one stays; each transform drawn") {
  const std::unique_ptr<Stream> cpu = Stream::cpu(), gpu = fresh_stream();
  const Toy toy(3, 20, 18, 3, fresh_seed());
  const DeviceSet there(*gpu, toy.set);
  const InputSpec input = input_of(3, MaskUse::channel, 17, 15);
  StepState at;
  at.epoch = static_cast<int32_t>(fresh_seed() % 1000);
  at.draw = 2;
  gpu->write_state(at);
  const std::vector<int32_t> slices = {2, 1, 0, 2, 2, 0, 1, 0, 1, 1, 2, 0};
  std::vector<double> order(14, 0);
  for (size_t i = 0; i < slices.size(); ++i) order[2 + i] = slices[i];
  const Tensor epoch = from_values(*gpu, {14}, order, DType::i32);
  const BatchForm form{.images = 12, .dtype = DType::f32, .channels = 4};
  const auto compare = [&](const char* what, const AugmentOptions& o) {
    INFO(what, ", epoch ", at.epoch);
    CHECK(to_values(augment(*cpu, toy.set, input, slices, o, at, WithMasks::no).images) ==
          to_values(augment_next(*gpu, there.set(), input, epoch, o, form).images));
  };
  compare("nothing", {});
  compare("flips", {.flip_y_probability = 0.5f, .flip_x_probability = 0.5f});
  compare("rotation", {.rotation_probability = 1, .rotation_degrees = 25});
  compare("cutout", {.cutout_probability = 1, .cutout_percent = 60});
  compare("noise", {.noise_probability = 1, .noise_percent = 20});
  compare("all dropped", {.drop_probability = 1});
  expect_nothing();
}

TEST_CASE("GPU augmentation: what cannot be is refused") {
  const std::unique_ptr<Stream> gpu = fresh_stream();
  Toy toy(2, 9, 9, 3, 1);
  const DeviceSet there(*gpu, toy.set);
  const InputSpec input = input_of(3, MaskUse::channel, 9, 9);
  const Tensor order = from_values(*gpu, {4}, {0, 1, 0, 1}, DType::i32);
  const auto next = [&](const BatchForm& what) {
    return augment_next(*gpu, there.set(), input, order, {}, what);
  };
  CHECK_THROWS_WITH_AS(next({.images = 0, .channels = 8}), doctest::Contains("at least one"),
                       Error);
  CHECK_THROWS_WITH_AS(next({.images = 1, .channels = 3}),
                       doctest::Contains("3 channels cannot hold the input's 4"), Error);
  const std::vector<int32_t> beyond = {2};
  CHECK_THROWS_WITH_AS(sample(*gpu, there.set(), input, beyond),
                       doctest::Contains("slice 2 of 2 does not exist"), Error);
  toy.patients[1] = 7;
  CHECK_THROWS_WITH_AS(DeviceSet(*gpu, toy.set), doctest::Contains("slice 1 belongs to patient 7"),
                       Error);
  expect_nothing();
}
