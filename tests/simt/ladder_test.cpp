// The ladders' rungs on the emulated GPU: each against f64, at odd shapes, in each float type; and
// the program around them.
#include <set>
#include <sstream>

#include "bench/ladder/program.hpp"
#include "tests/ops/augment_reference.hpp"
#include "tests/simt/op_cases.hpp"
#include "tests/simt/toy_set.hpp"

using namespace gliograd;
using namespace gliograd::ladder;
using simt::everything;
using simt::expect_nothing;
using simt::fresh_seed;
using simt::fresh_stream;

namespace {

constexpr DType kTypes[] = {DType::f32, DType::bf16, DType::f16};

}  // namespace

TEST_CASE("ladder of batch norm: every rung agrees with f64") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  const auto stream = fresh_stream();
  for (const DType dtype : kTypes) {
    // Fewer rows than a block has threads and more; one channel, a warp of them and one more; the
    // smallest batch; eight channels a thread, with lanes to spare.
    constexpr int64_t kShapes[][2] = {{2, 1},   {7, 3},    {33, 32},  {1031, 33},
                                      {257, 8}, {600, 40}, {5000, 16}};
    for (const int64_t(&shape)[2] : kShapes) {
      const int64_t rows = shape[0], channels = shape[1];
      BatchNormProblem problem(*stream, rows, channels, dtype, seed);
      for (const BatchNormRung& rung : batch_norm_rungs()) {
        INFO(std::string(rung.name), " [", rows, ", ", channels, "], ", dtype);
        CHECK(problem.error(rung) <= 1);  // false for NaN
      }
    }
  }
  expect_nothing();
}

TEST_CASE("ladder of the augmentation: every rung has the CPU's bits, and agrees with f64") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  simt::set_device({.order = simt::Order::any, .seed = seed});
  const auto stream = Stream::cuda(0, {.random = {.seed = static_cast<uint32_t>(seed)}});
  const std::vector<int32_t> slices = {2, 0, 1, 2};
  int round = 0;
  for (const DType dtype : kTypes) {
    for (const MaskUse use : {MaskUse::channel, MaskUse::multiply, MaskUse::raw_zero}) {
      const int channels = use == MaskUse::multiply ? 1 : 3;
      const simt::Toy toy(3, 37, 45, channels, seed);
      const InputSpec input = simt::input_of(channels, use, 21, 31);
      AugmentOptions options = everything();
      options.fill = round % 2 == 0 ? Fill::zero : Fill::edge;
      std::vector<AugmentParams> params;
      for (int i = 0; i < 4; ++i) {
        params.push_back(draw_augment(stream->random(), round, i, options, input));
      }
      if (round == 0) {  // plain windows, which want no filter and no knot
        for (AugmentParams& p : params) p = {};
      }
      const int64_t wide = round % 3 == 1 ? 10 : round % 3 == 2 ? input.channels() : 8;
      ++round;
      AugmentProblem problem(*stream, toy.set, input, slices, params, dtype, wide);
      for (const AugmentRung& rung : augment_rungs()) {
        INFO(std::string(rung.name), ", ", dtype, ", mask use ", static_cast<int>(use), ", ", wide,
             " channels");
        CHECK(problem.error(rung) == 0);
        if (dtype != DType::f32) continue;
        // In stored units; f32 and f64 may round the mask's place either way.
        double worst = 0;
        for (size_t i = 0; i < slices.size(); ++i) {
          const test::AugmentReference want(toy.set, input, params[i], stream->random(), slices[i]);
          const size_t pixels = want.mask.size(), has = want.image.size() / pixels;
          for (size_t at = 0; at < pixels * has; ++at) {
            if (want.near_tie[at / has]) continue;
            const double got = problem.images()[i * pixels * static_cast<size_t>(wide) +
                                                at / has * static_cast<size_t>(wide) + at % has];
            const double e = std::abs(got - want.image[at]) / 0.02;  // the least scale of the set
            if (!(e <= worst)) worst = e;
          }
        }
        CHECK(worst < 0.03);
      }
    }
  }
  expect_nothing();
}

TEST_CASE("ladder: the last rung is the shipped kernel; no rung has the name of another") {
  const auto stream = fresh_stream();
  BatchNormProblem problem(*stream, 64, 8, DType::bf16, 1);
  const std::span<const BatchNormRung> rungs = batch_norm_rungs();
  LaunchLog log(*stream);
  problem.run(rungs.back());
  std::string names;
  for (const kernels::RecordedLaunch& launch : log.take()) names += launch.name + " ";
  CHECK(names == "batch_norm_moments batch_norm_apply ");
  std::set<std::string> all;
  for (const BatchNormRung& rung : rungs) all.insert(rung.name);
  CHECK(all.size() == rungs.size());
  all.clear();
  for (const AugmentRung& rung : augment_rungs()) all.insert(rung.name);
  CHECK(all.size() == augment_rungs().size());
  CHECK(rungs.size() >= 3);
  CHECK(augment_rungs().size() >= 3);
  expect_nothing();
}

TEST_CASE("ladder: the program's table and lines; a wrong rung fails it") {
  const auto stream = fresh_stream();
  const auto run = [&](const std::vector<std::string>& words, std::string& text) {
    bench::Words given(words);
    Options options(given);
    options.run = {.runs = 3, .flush_bytes = 1 << 10};
    std::ostringstream out;
    const bool right = run_ladders(*stream, options, 3000, out);
    text = out.str();
    return right;
  };
  std::string text;
  CHECK(run({"--rows", "40", "--channels", "5", "--images", "2", "--size", "12"}, text));
  INFO(text);
  for (const char* part :
       {"thread_a_channel", "launch_a_transform", "of copy", "\"ladder\": \"augment full\"",
        "\"expected_ms\": null", "\"right\": true", "\"launches\": 12", "\"shape\": \"40x5\"",
        "\"dtype\": \"bf16\"", "\"shape\": \"2x12x12x4\""}) {
    CHECK_MESSAGE(text.find(part) != std::string::npos, part);
  }
  CHECK(std::count(text.begin(), text.end(), '{') == 2 * 5 + 2 * 2 * 4);
  CHECK_THROWS_WITH_AS(run({"--only", "conv"}, text), doctest::Contains("--only must be one of"),
                       Error);
  CHECK_THROWS_WITH_AS(run({"--rows", "1"}, text), doctest::Contains("--rows must be 2 to"), Error);

  RungResult wrong{.ladder = "batch_norm", .rung = "x", .error = NAN, .ms = {1, 1, 1}};
  std::ostringstream out;
  CHECK(!report({wrong}, 3000, out));
  CHECK(out.str().find("NO") != std::string::npos);
  expect_nothing();
}
