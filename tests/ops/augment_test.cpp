#include "engine/ops/augment.hpp"

#include <cstring>
#include <limits>

#include "engine/ops/augment_options.hpp"
#include "tests/ops/augment_reference.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using gliograd::test::AugmentReference;
using gliograd::test::cpu_stream;
using gliograd::test::TestSet;

namespace {

InputSpec spec(int height, int width, std::vector<int> sequences, MaskUse mask) {
  InputSpec input;
  for (const int s : sequences) input.sequences[input.sequence_count++] = s;
  input.mask = mask;
  input.height = height;
  input.width = width;
  return input;
}

// Everything on, always.
AugmentOptions everything() {
  AugmentOptions o;
  for (const AugmentField& field : augment_fields()) {
    if (std::string(field.name).find("probability") != std::string::npos) o.*field.member = 1;
  }
  o.drop_probability = 0.2f;
  o.rotation_degrees = 180, o.scale_percent = 30, o.stretch_percent = 20, o.shear_degrees = 15;
  o.translation_pixels = 5, o.elastic_pixels = 6, o.elastic_spacing_pixels = 9;
  o.brightness_percent = 40, o.contrast_percent = 50, o.gamma_percent = 50, o.bias_percent = 40;
  o.rician_percent = 30, o.noise_percent = 30, o.blur_pixels = 2, o.low_resolution_factor = 3;
  o.cutout_percent = 30;
  return o;
}

std::vector<float> floats(const Tensor& x) { return {x.data<float>(), x.data<float>() + x.size()}; }

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape == b.shape && std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

// Largest distance from the f64 reference in stored units (one u8 step is 1), mask included.
double distance(const TestSet& data, const InputSpec& input, const AugmentParams& p,
                int32_t slice) {
  const int32_t slices[] = {slice};
  const SampleBatch got =
      augment_as(cpu_stream(), data.set, input, slices, {&p, 1}, WithMasks::yes);
  const AugmentReference want(data.set, input, p, cpu_stream().random(), slice);
  double worst = 0;
  int64_t differ = 0;
  const int channels = input.channels();
  for (int64_t i = 0; i < got.masks.size(); ++i) {
    if (got.masks.at<uint8_t>(i) != want.mask[i]) {
      if (!want.near_tie[i]) return 1e9;
      ++differ;  // f32 and f64 may fall either way, and with the mask all that it decides
      continue;
    }
    for (int c = 0; c < channels; ++c) {
      const double scale = c < input.sequence_count
                               ? data.scales[slice * data.set.channels + input.sequences[c]].a
                               : 1;
      const double e =
          std::abs(got.images.at<float>(i * channels + c) - want.image[i * channels + c]) / scale;
      if (!(e <= worst)) worst = e;
    }
  }
  CHECK(differ <= got.masks.size() / 100);
  return worst;
}

}  // namespace

TEST_CASE("augment: each transform alone, and all at once, agree with the f64 reference") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  const TestSet data(3, 37, 45, 4, seed);
  cpu_stream().set_random({.seed = static_cast<uint32_t>(seed)});
  const InputSpec input = spec(22, 27, {2, 0, 3}, MaskUse::channel);
  const AugmentOptions all = everything();
  const std::string suffix = "probability";
  int transforms = 0;
  double worst = 0;
  for (const AugmentField& field : augment_fields()) {
    if (std::string(field.name).find(suffix) == std::string::npos) continue;
    ++transforms;
    AugmentOptions one = all;
    for (const AugmentField& other : augment_fields()) {
      if (std::string(other.name).find(suffix) != std::string::npos) one.*other.member = 0;
    }
    one.*field.member = 1;
    for (int draw = 0; draw < 4; ++draw) {
      for (const Fill fill : {Fill::zero, Fill::edge}) {
        one.fill = fill;
        const AugmentParams p = draw_augment(cpu_stream().random(), 3, draw, one, input);
        const double e = distance(data, input, p, draw % 3);
        CHECK_MESSAGE(e < 0.02, field.name, " draw ", draw);
        worst = std::max(worst, e);
      }
    }
  }
  CHECK(transforms == 19);
  for (int draw = 0; draw < 20; ++draw) {
    const MaskUse use = std::vector{MaskUse::none, MaskUse::multiply, MaskUse::channel,
                                    MaskUse::raw_zero}[draw % 4];
    const InputSpec mixed = spec(22 + draw % 15, 27 - draw, {draw % 4, 1}, use);
    const AugmentParams p = draw_augment(cpu_stream().random(), 1, draw, all, mixed);
    const double e = distance(data, mixed, p, draw % 3);
    CHECK_MESSAGE(e < 0.05, "all at once, draw ", draw);
    worst = std::max(worst, e);
  }
  MESSAGE("largest distance from f64: ", worst, " of a u8 step");
}

TEST_CASE("augment: without a change it is the plain sample to the bit") {
  const TestSet data(4, 31, 40, 3, 5);
  for (const MaskUse use :
       {MaskUse::none, MaskUse::multiply, MaskUse::channel, MaskUse::raw_zero}) {
    const InputSpec input = spec(20, 17, {2, 1, 0}, use);
    const std::vector<int32_t> slices = {3, 0, 0, 2};
    const SampleBatch plain = sample(cpu_stream(), data.set, input, slices, WithMasks::yes);
    const SampleBatch off = augment(cpu_stream(), data.set, input, slices, {}, {}, WithMasks::yes);
    CHECK(same_bits(plain.images, off.images));
    CHECK(same_bits(plain.masks, off.masks));
  }
}

TEST_CASE("augment: the eight symmetries move every pixel of a square window exactly") {
  const TestSet data(1, 30, 30, 2, 6);
  for (const int size : {30, 16, 15}) {
    const InputSpec input = spec(size, size, {0, 1}, MaskUse::channel);
    const int32_t slices[] = {0};
    const std::vector<float> plain = floats(sample(cpu_stream(), data.set, input, slices).images);
    for (int index = 0; index < kSquareSymmetries; ++index) {
      const AugmentParams p = square_symmetry(index);
      const std::vector<float> got =
          floats(augment_as(cpu_stream(), data.set, input, slices, {&p, 1}).images);
      std::vector<float> want(plain.size());
      for (int y = 0; y < size; ++y) {
        for (int x = 0; x < size; ++x) {
          int ty = y, tx = index >= 4 ? size - 1 - x : x;  // where content at (y, x) goes
          for (int turn = 0; turn < index % 4; ++turn) {   // counterclockwise on the screen
            const int before = ty;
            ty = size - 1 - tx;
            tx = before;
          }
          for (int c = 0; c < 3; ++c)
            want[(ty * size + tx) * 3 + c] = plain[(y * size + x) * 3 + c];
        }
      }
      // A window one pixel off the center of an even image would show as a shift here.
      if (size % 2 == 0) CHECK_MESSAGE(got == want, "symmetry ", index, " size ", size);
    }
  }
}

TEST_CASE("augment: an odd window in an even image is turned about its own center") {
  const TestSet data(1, 30, 30, 1, 7);
  const InputSpec input = spec(15, 15, {0}, MaskUse::none);
  const int32_t slices[] = {0};
  AugmentParams p;
  p.flip_y = 1;
  const std::vector<float> plain = floats(sample(cpu_stream(), data.set, input, slices).images);
  const std::vector<float> got =
      floats(augment_as(cpu_stream(), data.set, input, slices, {&p, 1}).images);
  for (int y = 0; y < 15; ++y) {
    for (int x = 0; x < 15; ++x) CHECK(got[y * 15 + x] == plain[(14 - y) * 15 + x]);
  }
}

TEST_CASE("augment: bits depend neither on threads nor on the rest of the batch") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  const TestSet data(5, 40, 40, 3, seed);
  const InputSpec input = spec(33, 33, {0, 1, 2}, MaskUse::channel);
  const RandomKey key{.seed = static_cast<uint32_t>(seed), .fold = 3};
  const auto one = Stream::cpu({.threads = 1, .random = key});
  const auto four = Stream::cpu({.threads = 4, .random = key});
  const std::vector<int32_t> slices = {4, 1, 1, 3, 0, 2, 2};
  const StepState at{.epoch = 6, .draw = 14};
  const SampleBatch a = augment(*one, data.set, input, slices, everything(), at, WithMasks::yes);
  const SampleBatch b = augment(*four, data.set, input, slices, everything(), at, WithMasks::yes);
  CHECK(same_bits(a.images, b.images));
  CHECK(same_bits(a.masks, b.masks));
  const int64_t image = a.images.size() / 7;
  for (int i = 0; i < 7; ++i) {  // each alone, in its slot
    const SampleBatch alone =
        augment(*one, data.set, input, {&slices[i], 1}, everything(), {.epoch = 6, .draw = 14 + i});
    CHECK(std::memcmp(alone.images.raw(), a.images.data<float>() + i * image, image * 4) == 0);
  }
}

TEST_CASE("augment: a slice drawn twice, in another epoch, or in another fold, is changed anew") {
  const TestSet data(1, 32, 32, 1, 8);
  const InputSpec input = spec(24, 24, {0}, MaskUse::none);
  const int32_t twice[] = {0, 0};
  const auto batch = [&](const RandomKey& key, int epoch) {
    const auto stream = Stream::cpu({.random = key});
    return floats(augment(*stream, data.set, input, twice, everything(), {.epoch = epoch}).images);
  };
  const std::vector<float> a = batch({.seed = 1}, 0), b = batch({.seed = 1}, 1);
  CHECK(std::vector(a.begin(), a.begin() + 576) != std::vector(a.begin() + 576, a.end()));
  CHECK(a != b);
  CHECK(a != batch({.seed = 1, .fold = 1}, 0));
  CHECK(a == batch({.seed = 1}, 0));
}

TEST_CASE("augment: the mask follows the image") {
  // An image that is its own mask: warped values above half agree with the warped mask.
  TestSet data(1, 64, 64, 1, 9);
  for (size_t i = 0; i < data.images.size(); ++i) data.images[i] = data.masks[i] ? 200 : 0;
  data.scales[0] = {1, 0};
  const InputSpec input = spec(48, 48, {0}, MaskUse::none);
  AugmentOptions warp = everything();  // of it, geometry alone
  warp.brightness_probability = warp.contrast_probability = warp.gamma_probability = 0;
  warp.bias_probability = warp.rician_probability = warp.noise_probability = 0;
  warp.blur_probability = warp.low_resolution_probability = warp.cutout_probability = 0;
  warp.drop_probability = 0;
  const int32_t slices[] = {0, 0, 0, 0, 0, 0, 0, 0};
  const SampleBatch got = augment(cpu_stream(), data.set, input, slices, warp, {}, WithMasks::yes);
  int64_t both = 0, either = 0;
  for (int64_t i = 0; i < got.masks.size(); ++i) {
    const bool bright = got.images.at<float>(i) > 100, inside = got.masks.at<uint8_t>(i) != 0;
    both += bright && inside;
    either += bright || inside;
  }
  CHECK(both > 2000);
  CHECK(static_cast<double>(both) > 0.97 * static_cast<double>(either));
}

TEST_CASE("augment: mask uses set what they promise, after all intensity steps") {
  const TestSet data(1, 40, 40, 2, 10);
  const int32_t slices[] = {0};
  AugmentOptions o = everything();
  o.drop_probability = 0;
  o.cutout_probability = 0;
  for (const MaskUse use : {MaskUse::multiply, MaskUse::raw_zero, MaskUse::channel}) {
    const InputSpec input = spec(40, 40, {0, 1}, use);
    const SampleBatch got = augment(cpu_stream(), data.set, input, slices, o, {}, WithMasks::yes);
    int64_t outside = 0;
    for (int64_t i = 0; i < got.masks.size(); ++i) {
      const bool inside = got.masks.at<uint8_t>(i) != 0;
      outside += !inside;
      for (int c = 0; c < 2; ++c) {
        const float value = got.images.at<float>(i * input.channels() + c);
        if (use == MaskUse::multiply && !inside) CHECK(value == 0.0f);
        if (use == MaskUse::raw_zero && !inside) CHECK(value == data.scales[c].b);
      }
      if (use == MaskUse::channel) {
        CHECK(got.images.at<float>(i * 3 + 2) == (inside ? 1.0f : 0.0f));
      }
    }
    CHECK(outside > 100);
    CHECK(outside < 1600);
  }
}

TEST_CASE("augment: low resolution moves nothing by half a pixel, and blur keeps the mean") {
  TestSet data(1, 48, 48, 1, 11);
  for (int y = 0; y < 48; ++y) {
    for (int x = 0; x < 48; ++x) data.images[y * 48 + x] = static_cast<uint8_t>(5 * x);
  }
  data.scales[0] = {1, 0};
  const InputSpec input = spec(48, 48, {0}, MaskUse::none);
  const int32_t slices[] = {0};
  for (const float factor : {1.5f, 2.0f, 3.7f, 6.0f}) {
    AugmentParams p;
    p.channel[0].low_resolution = factor;
    const auto got = floats(augment_as(cpu_stream(), data.set, input, slices, {&p, 1}).images);
    double shift = 0;  // in pixels; half a pixel would be 2.5 in value
    for (int x = 12; x < 36; ++x) {
      shift += (got[20 * 48 + x] / 5.0 - x) / 24;
      CHECK(std::abs(got[20 * 48 + x] - 5.0 * x) < 0.5);  // means over parts of flat pixels
    }
    CHECK(std::abs(shift) < 0.01);
  }
  for (const float sigma : {0.01f, 0.3f, 1.0f, 4.0f}) {
    AugmentParams p;
    p.channel[0].blur = sigma;
    const auto got = floats(augment_as(cpu_stream(), data.set, input, slices, {&p, 1}).images);
    for (int x = 13; x < 35; ++x) CHECK(got[20 * 48 + x] == doctest::Approx(5.0 * x).epsilon(1e-3));
  }
}

TEST_CASE("augment: extreme settings give finite values") {
  const TestSet data(2, 20, 24, 2, 12);
  AugmentOptions extreme;
  for (const AugmentField& field : augment_fields()) extreme.*field.member = field.high;
  extreme.elastic_spacing_pixels = 4;
  extreme.drop_probability = 0.3f;
  const auto stream = Stream::cpu({.random = {.seed = 77}});
  const std::vector<int32_t> slices = {0, 1, 0, 1};
  for (const auto& size : {std::pair{20, 24}, {1, 1}, {7, 2}}) {
    for (const Fill fill : {Fill::zero, Fill::edge}) {
      extreme.fill = fill;
      const InputSpec input = spec(size.first, size.second, {0, 1}, MaskUse::multiply);
      for (int epoch = 0; epoch < 50; ++epoch) {
        const SampleBatch got =
            augment(*stream, data.set, input, slices, extreme, {.epoch = epoch});
        for (const float v : floats(got.images)) {
          if (!std::isfinite(v)) FAIL("a value is not finite at epoch ", epoch);
        }
      }
    }
  }
}

TEST_CASE("augment: options and parameters out of range are refused by name") {
  const TestSet data(1, 20, 20, 1, 13);
  const InputSpec input = spec(16, 16, {0}, MaskUse::none);
  const int32_t slices[] = {0};
  for (const AugmentField& field : augment_fields()) {
    for (const float bad :
         {field.low - 0.01f, field.high * 1.01f + 0.01f, std::numeric_limits<float>::quiet_NaN()}) {
      AugmentOptions o;
      o.*field.member = bad;
      const std::string error =
          test::error_of([&] { augment(cpu_stream(), data.set, input, slices, o, {}); });
      CHECK_MESSAGE(test::contains(error, std::string("augment: ") + field.name + " must be "),
                    error);
    }
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  using P = AugmentParams;
  for (const auto& [name, member] : {std::pair{"rotation", &P::rotation},
                                     {"scale", &P::scale},
                                     {"stretch", &P::stretch},
                                     {"shear", &P::shear},
                                     {"shift_y", &P::shift_y},
                                     {"shift_x", &P::shift_x},
                                     {"elastic", &P::elastic}}) {
    P bad;
    bad.*member = nan;
    CHECK(test::contains(test::error_of([&] {
                           augment_as(cpu_stream(), data.set, input, slices, {&bad, 1});
                         }),
                         std::string("augment: ") + name + " must be "));
  }
  using C = ChannelParams;
  for (const auto& [name, member] : {std::pair{"brightness", &C::brightness},
                                     {"contrast", &C::contrast},
                                     {"gamma", &C::gamma},
                                     {"bias", &C::bias},
                                     {"rician", &C::rician},
                                     {"gaussian", &C::gaussian},
                                     {"blur", &C::blur},
                                     {"low_resolution", &C::low_resolution}}) {
    for (const float value : {nan, -1e9f, 1e9f}) {
      P bad;
      bad.channel[0].*member = value;
      CHECK(test::contains(test::error_of([&] {
                             augment_as(cpu_stream(), data.set, input, slices, {&bad, 1});
                           }),
                           std::string("augment: ") + name + " must be "));
    }
  }
  AugmentParams p;
  p.scale = 0;
  CHECK(test::contains(test::error_of([&] {
                         augment_as(cpu_stream(), data.set, input, slices, {&p, 1});
                       }),
                       "augment: scale must be 0.05 to 20; got 0"));
  CHECK(
      test::contains(test::error_of([&] { augment_as(cpu_stream(), data.set, input, slices, {}); }),
                     "one set of parameters a slice; got 0 for 1"));
  const TestSet large(1, 300, 300, 1, 14);
  AugmentOptions o;
  o.elastic_probability = 1;
  o.elastic_pixels = 3;
  o.elastic_spacing_pixels = 4;
  CHECK(test::contains(test::error_of([&] {
                         augment(cpu_stream(), large.set, spec(300, 300, {0}, MaskUse::none),
                                 slices, o, {});
                       }),
                       "elastic-spacing-pixels must be at least 4"));
}
