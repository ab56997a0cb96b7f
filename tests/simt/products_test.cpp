// Products on the emulated GPU: who computes a convolution or a linear layer, with which rounding,
// and what is said where no plan serves.
#include <map>
#include <sstream>

#include "engine/device/fallbacks.hpp"
#include "engine/device/launch_log.hpp"
#include "engine/ops/conv.hpp"
#include "engine/ops/linear.hpp"
#include "tests/simt/op_cases.hpp"
#include "tests/simt/vendor_plans.hpp"
#include "tests/support/distance.hpp"

using namespace gliograd;
using simt::expect_nothing;
using simt::fresh_seed;
using test::distance;

namespace {

Tensor random_tensor(Stream& stream, const Shape& shape, uint64_t seed, DType dtype) {
  std::mt19937_64 generator(seed);
  std::vector<double> v(static_cast<size_t>(shape.size()));
  for (double& x : v) x = static_cast<double>(generator() >> 40) * 0x1p-23 - 1;
  return from_values(stream, shape, v, dtype);
}

std::vector<double> convolved(Stream& stream, uint64_t seed, DType dtype = DType::f32) {
  Tape tape = Tape::off(stream, dtype);
  const Tensor x = random_tensor(stream, {2, 5, 6, 8}, seed, dtype);
  const Tensor w = random_tensor(stream, {16, 3, 3, 8}, seed + 1, dtype);
  const Tensor b = random_tensor(stream, {16}, seed + 2, dtype);
  std::vector<double> all = to_values(conv(tape, x, w, b, {.pad = Padding::all(1)}));
  const Tensor weights = w.reshaped({16, 72});
  const Tensor wide = random_tensor(stream, {3, 72}, seed + 3, dtype);
  const std::vector<double> more = to_values(linear(tape, wide, weights, b));
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

TEST_CASE("GPU products: TF32 is asked for, or f32 stays whole") {
  simt::set_device({.order = simt::Order::any, .seed = fresh_seed()});
  const uint64_t seed = fresh_seed();
  const auto cpu = Stream::cpu(), whole = Stream::cuda();
  const auto rounded = Stream::cuda(0, {.tf32 = true});
  const std::vector<double> wanted = convolved(*cpu, seed);
  CHECK(distance(convolved(*whole, seed), wanted) < 1e-6);
  const double error = distance(convolved(*rounded, seed), wanted);
  CHECK(error > 1e-5);  // factors of 10 bits
  CHECK(error < 1e-3);
  CHECK(whole->local<Fallbacks>().counts().empty());
  expect_nothing();
}

TEST_CASE("GPU products: a bias is added in the product's own launch") {
  simt::set_device({.order = simt::Order::any, .seed = fresh_seed()});
  const auto stream = Stream::cuda();
  LaunchLog log(*stream);
  convolved(*stream, 1);
  std::vector<std::string> names;
  for (const kernels::RecordedLaunch& launch : log.take()) {
    if (launch.name.find("copy") == std::string::npos) names.push_back(launch.name);
  }
  CHECK(names == std::vector<std::string>{"cuDNN, emulated", "cuBLASLt, emulated"});
  expect_nothing();
}

TEST_CASE("GPU products: a plan that does not run is left out, and the fastest other one taken") {
  simt::set_device({.order = simt::Order::any, .seed = fresh_seed()});
  const auto plans = std::make_shared<PlanChoices>();
  const auto stream = Stream::cuda(0, {.plans = plans}), cpu = Stream::cpu();
  simt::set_plan_delays({-1, 5000, 1000});
  const std::vector<double> result = convolved(*stream, 7);
  simt::set_plan_delays({});
  CHECK(distance(result, convolved(*cpu, 7)) < 1e-6);
  for (const std::string product : {"by 3x3 / 1 from -1:-1,", "3x72 to 16,"}) {
    CHECK(plans->csv().find(product + "engine 3: c,") != std::string::npos);
  }
  CHECK(plans->csv().find(",512,2\n") != std::string::npos);  // workspace, candidates
  expect_nothing();
}

TEST_CASE("GPU products: where no plan runs, the own kernels do, in every network") {
  simt::set_device({.order = simt::Order::any, .seed = fresh_seed()});
  const auto plans = std::make_shared<PlanChoices>();
  const auto first = Stream::cuda(0, {.plans = plans}), second = Stream::cuda(0, {.plans = plans});
  const auto cpu = Stream::cpu();
  simt::set_plan_delays({-1, -1, -1});
  const std::vector<double> result = convolved(*first, 7);
  CHECK(convolved(*second, 7) == result);
  simt::set_plan_delays({});
  CHECK(convolved(*first, 7) == result);  // it is not tried again
  CHECK(distance(result, convolved(*cpu, 7)) < 1e-6);
  CHECK(first->local<Fallbacks>().counts().size() == 2);
  CHECK(plans->csv().find(" + bias,none,0,0,0\n") != std::string::npos);
  expect_nothing();
}

TEST_CASE(
    "GPU products: a bias in the kernel and one behind it are timed, and the faster is taken") {
  simt::set_device({.order = simt::Order::any, .seed = fresh_seed()});
  const auto cpu = Stream::cpu();
  const uint64_t seed = fresh_seed();
  const std::vector<double> wanted = convolved(*cpu, seed);
  for (const bool apart : {true, false}) {
    const auto plans = std::make_shared<PlanChoices>();
    const auto stream = Stream::cuda(0, {.plans = plans});
    simt::set_plan_delays({4000, 0, 9000});
    simt::set_epilogue_delay(apart ? 2000 : 0);
    simt::set_bare_delay(apart ? 0 : 2000);
    CHECK(distance(convolved(*stream, seed), wanted) < 1e-6);
    LaunchLog log(*stream);
    CHECK(distance(convolved(*stream, seed), wanted) < 1e-6);  // as it was chosen
    int64_t behind = 0;
    for (const kernels::RecordedLaunch& one : log.take()) behind += one.name == "add_to_rows";
    CHECK(behind == (apart ? 2 : 0));
    simt::set_plan_delays({});
    simt::set_epilogue_delay(0);
    simt::set_bare_delay(0);
    INFO(plans->csv());
    std::map<std::string, std::string> chosen;
    std::istringstream lines(plans->csv());
    for (std::string line; std::getline(lines, line);) {
      const size_t at = line.find(',');
      chosen[line.substr(0, at)] = line.substr(at + 1, line.find(',', at + 1) - at - 1);
    }
    const std::string conv = "conv forward f32 2x5x6x8 to 5x6x16 by 3x3 / 1 from -1:-1";
    const std::string linear = "linear forward f32 3x72 to 16";
    const std::string with = apart ? "epilogue apart" : "engine 2: b";
    CHECK(chosen == std::map<std::string, std::string>{{"product", "plan"},
                                                       {conv, "engine 2: b"},
                                                       {conv + " + bias", with},
                                                       {linear, "engine 2: b"},
                                                       {linear + " + bias", with}});
    // Another network takes the same way, and has the same bits.
    const auto second = Stream::cuda(0, {.plans = plans});
    CHECK(convolved(*second, seed) == convolved(*stream, seed));
    CHECK(plans->timed() == 4);
  }
  expect_nothing();
}

TEST_CASE("GPU products: a ReLU is computed in the product's kernel or behind it, timed too") {
  simt::set_device({.order = simt::Order::any, .seed = fresh_seed()});
  const auto cpu = Stream::cpu();
  const uint64_t seed = fresh_seed();
  const auto activated = [&](Stream& stream, bool bias, int64_t out) {
    Tape tape = Tape::off(stream);
    const Tensor x = random_tensor(stream, {5, 24}, seed, DType::f32);
    const Tensor w = random_tensor(stream, {out, 24}, seed + 1, DType::f32);
    const Tensor b = bias ? random_tensor(stream, {out}, seed + 2, DType::f32) : Tensor{};
    return to_values(linear(tape, x, w, b, Activation::relu));
  };
  for (const bool bias : {true, false}) {
    const std::vector<double> wanted = activated(*cpu, bias, 16);
    const std::string product =
        concat_text("linear forward f32 5x24 to 16", bias ? " + bias" : "", " + relu,");
    for (const bool apart : {true, false}) {
      const auto plans = std::make_shared<PlanChoices>();
      const auto stream = Stream::cuda(0, {.plans = plans});
      simt::set_epilogue_delay(apart ? 2000 : 0);
      simt::set_bare_delay(apart ? 0 : 2000);
      activated(*stream, bias, 16);
      LaunchLog log(*stream);
      CHECK(distance(activated(*stream, bias, 16), wanted) < 1e-6);
      std::vector<std::string> names;
      for (const kernels::RecordedLaunch& one : log.take()) {
        if (one.name.find("copy") == std::string::npos) names.push_back(one.name);
      }
      simt::set_epilogue_delay(0);
      simt::set_bare_delay(0);
      std::vector<std::string> launched = {"cuBLASLt, emulated"};
      if (apart) launched.push_back(bias ? "add_to_rows" : "relu");
      CHECK(names == launched);
      CHECK(plans->csv().find(product + (apart ? "epilogue apart," : "engine ")) !=
            std::string::npos);
    }
    // Rows that cuBLASLt does not serve.
    CHECK(distance(activated(*Stream::cuda(), bias, 15), activated(*cpu, bias, 15)) < 1e-6);
  }
  expect_nothing();
}

TEST_CASE("GPU products: where no plan adds a bias, one without is taken and the bias follows") {
  simt::set_device({.order = simt::Order::any, .seed = fresh_seed()});
  const auto plans = std::make_shared<PlanChoices>();
  const auto cpu = Stream::cpu(), first = Stream::cuda(), timed = Stream::cuda(0, {.plans = plans});
  const uint64_t seed = fresh_seed();
  simt::set_epilogue_delay(-1);
  const std::vector<double> got = convolved(*first, seed), chosen = convolved(*timed, seed);
  simt::set_epilogue_delay(0);
  const std::vector<double> wanted = convolved(*cpu, seed);
  CHECK(distance(got, wanted) < 1e-6);
  CHECK(distance(chosen, wanted) < 1e-6);
  CHECK(first->local<Fallbacks>().counts().empty());
  CHECK(plans->csv().find(" + bias,epilogue apart,") != std::string::npos);
  // In 16 bits the product is rounded once more: two halves of a unit, of sums near one.
  simt::set_epilogue_delay(-1);
  const std::vector<double> narrow = convolved(*first, seed, DType::bf16);
  simt::set_epilogue_delay(0);
  const auto fused = Stream::cuda();
  const double twice = distance(narrow, convolved(*cpu, seed, DType::bf16));
  CHECK(twice < 0x1p-8);
  CHECK(distance(convolved(*fused, seed, DType::bf16), convolved(*cpu, seed, DType::bf16)) < twice);
  expect_nothing();
}

TEST_CASE("GPU products: what no plan serves is counted by shape, but for heads and depthwise") {
  simt::set_device({.order = simt::Order::any, .seed = fresh_seed()});
  const auto stream = Stream::cuda();
  const auto pass = [&](const Shape& x, const Shape& w, int64_t groups) {
    Tape tape(*stream, DType::bf16);
    const Tensor in = tape.watch(random_tensor(*stream, x, 1, DType::bf16));
    const Tensor weights = tape.watch(random_tensor(*stream, w, 2, DType::bf16));
    const Tensor y = x.rank() == 2 ? linear(tape, in, weights, {})
                                   : conv(tape, in, weights, {}, {.groups = groups});
    tape.backward(y, random_tensor(*stream, y.shape, 3, DType::bf16));
  };
  pass({1, 3, 3, 8}, {16, 1, 1, 8}, 1);
  pass({1, 3, 3, 9}, {9, 1, 1, 1}, 9);
  pass({1, 3, 3, 4}, {16, 1, 1, 4}, 1);
  pass({3, 96}, {2, 96}, 1);
  const Fallbacks& met = stream->local<Fallbacks>();
  CHECK(met.counts().empty());
  for (int i = 0; i < 2; ++i) pass({1, 3, 4, 12}, {9, 1, 1, 12}, 1);
  pass({3, 20}, {10, 20}, 1);
  const std::map<std::string, int64_t> wanted = {{"conv forward, bf16 1x3x4x12 to 9, 1x1 / 1", 2},
                                                 {"conv data, bf16 1x3x4x12 to 9, 1x1 / 1", 2},
                                                 {"conv weights, bf16 1x3x4x12 to 9, 1x1 / 1", 2},
                                                 {"linear forward, bf16 3x20 to 10", 1},
                                                 {"linear data, bf16 3x20 to 10", 1},
                                                 {"linear weights, bf16 3x20 to 10", 1}};
  CHECK(met.counts() == wanted);
  expect_nothing();
}

TEST_CASE("GPU depthwise: channels around every vector width, many pixels in several slices") {
  const std::unique_ptr<Stream> stream = simt::fresh_stream();
  for (const int64_t c : {1, 7, 8, 31, 32, 33, 40, 264}) {
    CaseRow row = simt::row_of("conv", "depthwise, 24 channels");
    row.inputs[0].shape = {2, 5, 4, c};
    row.inputs[1].shape = {c, 3, 3, 1};
    row.inputs[2].shape = {c};
    row.op = [c](Tape& tape, const std::vector<Tensor>& in) {
      return conv(tape, in[0], in[1], in[2],
                  {.stride = 2, .pad = {1, 0, 1, 2}, .groups = static_cast<int>(c)});
    };
    if (c > 1) simt::compare("conv", row, *stream);  // of one channel it is no depthwise one
  }
  CaseRow row = simt::row_of("conv", "depthwise, 24 channels");
  row.inputs[0].shape = {3, 20, 21, 8};  // five slices
  row.inputs[1].shape = {8, 3, 3, 1};
  row.inputs[2].shape = {8};
  row.op = [](Tape& tape, const std::vector<Tensor>& in) {
    return conv(tape, in[0], in[1], in[2], {.pad = Padding::all(1), .groups = 8});
  };
  simt::compare("conv", row, *stream);
  expect_nothing();
}

TEST_CASE("GPU products: depthwise kernels sum many slices, and agree with f64 in every type") {
  simt::set_device({.order = simt::Order::any, .seed = fresh_seed()});
  const auto cpu = Stream::cpu(), gpu = Stream::cuda();
  // y, dx and dweights; the factors are those that `dtype` holds.
  const auto passes = [](Stream& stream, int64_t channels, uint64_t seed, DType stored,
                         DType dtype) {
    Tape tape(stream, dtype);
    const auto factor = [&](const Shape& shape, uint64_t salt) {
      const auto host = Stream::cpu();
      const Tensor rounded = random_tensor(*host, shape, seed + salt, stored);
      return from_values(stream, shape, to_values(rounded), dtype);
    };
    const Tensor x = tape.watch(factor({1, 27, 43, channels}, 0));
    const Tensor w = tape.watch(factor({channels, 3, 2, 1}, 1));
    const Tensor y = conv(tape, x, w, {}, {.pad = Padding::all(1), .groups = channels});
    tape.backward(y, factor(y.shape, 2));
    return std::vector{to_values(y), to_values(tape.gradient(x)), to_values(tape.gradient(w))};
  };
  for (const int64_t channels : {8, 5}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      const uint64_t seed = fresh_seed();
      CAPTURE(seed);
      CAPTURE(channels);
      LaunchLog log(*gpu);
      const auto got = passes(*gpu, channels, seed, dtype, dtype);
      std::map<std::string, unsigned> blocks;
      for (const kernels::RecordedLaunch& one : log.take()) blocks[one.name] = one.grid[2];
      CHECK(blocks.count("conv_depthwise_forward") == 1);
      CHECK(blocks.count("conv_depthwise_data") == 1);
      CHECK(blocks["conv_depthwise_weights"] == 5);  // slices of 27 * 44 pixels
      const auto wanted = passes(*cpu, channels, seed, dtype, DType::f64);
      const double rounding = dtype == DType::f32 ? 5e-7 : dtype == DType::f16 ? 5e-4 : 4e-3;
      CHECK(distance(got[0], wanted[0]) < rounding);
      CHECK(distance(got[1], wanted[1]) < rounding);
      CHECK(distance(got[2], wanted[2]) < 1e-6);  // sums stay f32
    }
  }
  expect_nothing();
}
