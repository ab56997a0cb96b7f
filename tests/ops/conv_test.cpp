#include "engine/ops/conv.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/ops/conv_paths.hpp"
#include "engine/tensor/layout.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;
using namespace gliograd::conv_paths;

namespace {

constexpr Algorithm kAlgorithms[] = {Algorithm::own, Algorithm::direct, Algorithm::direct_blocked,
                                     Algorithm::winograd};
std::string name_of(Algorithm a) {
  const char* names[] = {"own", "direct", "direct_blocked", "winograd"};
  return names[static_cast<int>(a)];
}

struct Problem {
  Shape x, weight;
  ConvOptions options;
  bool bias = true;
};

struct Result {
  std::vector<double> y, dx, dw, db;
};

std::vector<double> random_values(int64_t n, std::mt19937_64& generator) {
  std::vector<double> values(n);
  for (double& v : values)
    v = static_cast<float>(static_cast<double>(generator() >> 11) * 0x1p-52 - 1);
  return values;
}

int64_t between(std::mt19937_64& generator, int64_t least, int64_t most) {
  return least + static_cast<int64_t>(generator() % static_cast<uint64_t>(most - least + 1));
}

struct Values {
  std::vector<double> x, weight, bias, dy;
};

Values values_for(const Problem& p, std::mt19937_64& generator) {
  Values v{random_values(p.x.size(), generator),
           random_values(p.weight.size(), generator),
           random_values(p.weight[0], generator),
           {}};
  const Geometry g = geometry_of(tensor(p.x, v.x), tensor(p.weight, v.weight), {}, p.options);
  v.dy = random_values(g.n * g.ho * g.wo * g.co, generator);
  return v;
}

// Through the op and the tape, on `stream`, in `dtype`.
Result by_op(Stream& stream, const Problem& p, const Values& v, DType dtype) {
  Tape tape(stream, dtype);
  const Tensor x = tape.watch(from_values(stream, p.x, v.x, dtype));
  const Tensor weight = tape.watch(from_values(stream, p.weight, v.weight, dtype));
  const Tensor bias = tape.watch(from_values(stream, {p.weight[0]}, v.bias, dtype));
  const Tensor y = conv(tape, x, weight, p.bias ? bias : Tensor{}, p.options);
  Result r{.y = values(y), .dx = {}, .dw = {}, .db = {}};
  tape.backward(y, to_layout(from_values(stream, y.shape, v.dy, dtype), y.layout));
  r.dx = values(tape.gradient(x)), r.dw = values(tape.gradient(weight));
  if (p.bias) r.db = values(tape.gradient(bias));
  return r;
}

// By one algorithm, past the table.
Result by_algorithm(Stream& stream, Algorithm algorithm, const Problem& p, const Values& v) {
  const Tensor x = from_values(stream, p.x, v.x), weight = from_values(stream, p.weight, v.weight);
  const Tensor bias = p.bias ? from_values(stream, {p.weight[0]}, v.bias) : Tensor{};
  const Geometry g = geometry_of(x, weight, bias, p.options);
  Tensor y = empty(stream, {g.n, g.ho, g.wo, g.co}), dx = empty_like(x), dw = empty_like(weight);
  Tensor db = empty(stream, {g.co});
  const Tensor dy = from_values(stream, y.shape, v.dy);
  forward_cpu(stream, algorithm, g, x, weight, bias, y);
  backward_data_cpu(stream, algorithm, g, dy, weight, dx);
  backward_weights_cpu(stream, algorithm, g, dy, x, dw);
  backward_bias_own(stream, g, dy, db);
  return {values(y), values(dx), values(dw), p.bias ? values(db) : std::vector<double>{}};
}

// Norm of the difference, relative to that of b, or to what sums of `terms` products of values in
// (-1, 1) have on average, should they cancel.
double distance(const std::vector<double>& a, const std::vector<double>& b, int64_t terms) {
  REQUIRE(a.size() == b.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / std::max(norm, static_cast<double>(a.size()) * terms / 9));
}

void check_close(const Result& a, const Result& b, const Problem& p) {
  const int64_t taps = p.weight[1] * p.weight[2];
  const int64_t pixels = static_cast<int64_t>(b.y.size()) / p.weight[0];
  CHECK(distance(a.y, b.y, taps * p.weight[3]) <= 4e-6);
  CHECK(distance(a.dx, b.dx, taps * p.weight[0] / p.options.groups) <= 4e-6);
  CHECK(distance(a.dw, b.dw, pixels) <= 4e-6);
  if (p.bias) CHECK(distance(a.db, b.db, pixels) <= 4e-6);
}

Problem random_problem(std::mt19937_64& generator) {
  const int64_t groups = generator() % 3 == 0 ? between(generator, 2, 4) : 1;
  const bool depthwise = generator() % 4 == 0, blocks = generator() % 3 == 0;
  const int64_t ci = blocks ? 16 * between(generator, 1, 3) : groups * between(generator, 1, 9);
  const int64_t co = blocks ? 16 * between(generator, 1, 3) : groups * between(generator, 1, 20);
  const int64_t kh = blocks ? 3 : between(generator, 1, 4),
                kw = blocks ? 3 : between(generator, 1, 4);
  ConvOptions o{.stride = blocks ? 1 : between(generator, 1, 3),
                .pad = {between(generator, 0, 2), between(generator, 0, 2),
                        between(generator, 0, 2), between(generator, 0, 2)},
                .dilation = blocks ? 1 : between(generator, 1, 2),
                .groups = blocks      ? 1
                          : depthwise ? ci
                                      : groups};
  if (blocks && generator() % 3 != 0) o.pad = Padding::all(between(generator, 0, 1));
  const int64_t h = o.dilation * (kh - 1) + between(generator, 1, 9);
  const int64_t w = o.dilation * (kw - 1) + between(generator, 1, 25);
  const Shape weight = depthwise && !blocks ? Shape{ci * between(generator, 1, 2), kh, kw, 1}
                                            : Shape{co, kh, kw, ci / o.groups};
  return {{between(generator, 1, 3), h, w, ci}, weight, o, generator() % 2 == 0};
}

}  // namespace

TEST_CASE("conv: a 2 x 2 window over 3 x 3 pixels by hand, forward and gradients") {
  const Problem p{{1, 3, 3, 1}, {1, 2, 2, 1}, {}};
  const Values v{{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 4}, {100}, {1, 1, 1, 1}};
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const bool vendor : {true, false}) {
      const auto stream = Stream::cpu({.vendor = vendor});
      const Result r = by_op(*stream, p, v, dtype);
      CHECK(r.y == std::vector<double>{137, 147, 167, 177});
      CHECK(r.dx == std::vector<double>{1, 3, 2, 4, 10, 6, 3, 7, 4});
      CHECK(r.dw == std::vector<double>{12, 16, 24, 28});
      CHECK(r.db == std::vector<double>{4});
    }
  }
}

TEST_CASE("conv: one pixel of padding on one side by hand") {
  // Pixels 1 2 with a zero before them, window (10, 1), stride 2: 0 * 10 + 1, and no second window.
  const Problem p{{1, 1, 2, 1}, {1, 1, 2, 1}, {.stride = 2, .pad = {0, 0, 1, 0}}, false};
  const Values v{{1, 2}, {10, 1}, {0}, {3}};
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Result r = by_op(cpu_stream(), p, v, dtype);
    CHECK(r.y == std::vector<double>{1});
    CHECK(r.dx == std::vector<double>{3, 0});  // no window sees the second pixel
    CHECK(r.dw == std::vector<double>{0, 3});
  }
}

TEST_CASE("conv: every algorithm agrees with the f64 reference on random shapes") {
  const uint64_t seed = fresh_seed();
  std::mt19937_64 generator(seed);
  for (int round = 0; round < 30; ++round) {
    const Problem p = random_problem(generator);
    const Values v = values_for(p, generator);
    const Result expected = by_op(cpu_stream(), p, v, DType::f64);
    const int threads = 1 + round % 2;
    const auto stream = Stream::cpu({.threads = threads});
    for (const Algorithm algorithm : kAlgorithms) {
      INFO("seed ", seed, ", round ", round, ": x ", to_string(p.x), ", weight ",
           to_string(p.weight), ", stride ", p.options.stride, ", dilation ", p.options.dilation,
           ", groups ", p.options.groups, ", padding ", concat_text(p.options.pad), ", ",
           name_of(algorithm), ", ", threads, " threads");
      check_close(by_algorithm(*stream, algorithm, p, v), expected, p);
    }
  }
}

TEST_CASE("conv: Winograd with unequal paddings is left to the own kernels") {
  // oneDNN 3.1 would take it, and its gradient of x is wrong by more than its own size.
  std::mt19937_64 generator(11);
  for (const Padding& pad : {Padding{1, 0, 1, 1}, Padding{0, 1, 0, 0}, Padding{0, 0, 1, 0}}) {
    const Problem p{{2, 6, 7, 32}, {32, 3, 3, 32}, {.pad = pad}, false};
    const Values v = values_for(p, generator);
    const Result expected = by_op(cpu_stream(), p, v, DType::f64);
    INFO("padding ", concat_text(pad));
    check_close(by_algorithm(cpu_stream(), Algorithm::winograd, p, v), expected, p);
    check_close(by_op(cpu_stream(), p, v, DType::f32), expected, p);
  }
}

TEST_CASE("conv: the own kernels give the same bits for any number of threads") {
  std::mt19937_64 generator(7);
  for (const Problem& p :
       {Problem{{5, 40, 41, 6}, {35, 3, 3, 6}, {.pad = Padding::all(1)}},
        Problem{{9, 12, 13, 8}, {8, 3, 3, 1}, {.pad = Padding::all(1), .groups = 8}},
        Problem{{3, 40, 40, 4}, {16, 3, 3, 4}, {.stride = 2, .pad = Padding::all(1)}}}) {
    const Values v = values_for(p, generator);
    const Result one = by_algorithm(*Stream::cpu(), Algorithm::own, p, v);
    check_close(one, by_op(cpu_stream(), p, v, DType::f64), p);
    for (const int threads : {2, 3}) {
      const Result many = by_algorithm(*Stream::cpu({.threads = threads}), Algorithm::own, p, v);
      CHECK(many.y == one.y);
      CHECK(many.dx == one.dx);
      CHECK(many.dw == one.dw);
      CHECK(many.db == one.db);
    }
  }
}

TEST_CASE("conv: oneDNN serves the project's shapes by something better than its naive code") {
  const auto stream = Stream::cpu();
  const Geometry pixel =
      geometry_of(empty(*stream, {1, 1, 1, 1}), empty(*stream, {1, 1, 1, 1}), {}, {});
  if (choose(*stream, pixel, DType::f32, Layout::nhwc).forward == Algorithm::own) {
    return skip("conv: oneDNN's choice", "built without it");
  }
  const auto check = [&](const Shape& x, const Shape& weight, const ConvOptions& options) {
    const Geometry g = geometry_of(empty(*stream, x), empty(*stream, weight), {}, options);
    const Choice choice = choose(*stream, g, DType::f32, Layout::nhwc);
    REQUIRE(choice.forward != Algorithm::own);
    const std::pair<Algorithm, Pass> passes[] = {{choice.forward, Pass::forward},
                                                 {choice.data, Pass::data},
                                                 {choice.weights, Pass::weights}};
    for (const auto& one : passes) {
      const Algorithm algorithm = one.first;
      const Pass pass = one.second;
      const std::string found = onednn_implementation(*stream, g, DType::f32, algorithm, pass);
      INFO("x ", to_string(x), ", weight ", to_string(weight), ", pass ", static_cast<int>(pass),
           ": ", found);
      CHECK_FALSE(found.empty());
      CHECK(found.rfind("ref", 0) != 0);
    }
  };
  const ConvOptions same{.pad = Padding::all(1)};
  for (const int64_t size : {80, 128}) {  // SubtypeNet
    check({32, size, size, 4}, {16, 3, 3, 4}, same);
    check({32, size / 2, size / 2, 16}, {32, 3, 3, 16}, same);
    check({32, size / 4, size / 4, 32}, {64, 3, 3, 32}, same);
    check({32, size / 8, size / 8, 64}, {96, 3, 3, 64}, same);
  }
  check({32, 80, 80, 1}, {16, 3, 3, 1}, same);  // FLAIR alone
  check({4, 56, 56, 256}, {64, 1, 1, 256}, {});
  check({4, 112, 112, 4}, {64, 7, 7, 4}, {.stride = 2, .pad = Padding::all(3)});
  check({4, 56, 56, 64}, {128, 3, 3, 64}, {.stride = 2, .pad = Padding::all(1)});
  check({4, 32, 32, 96}, {96, 3, 3, 1}, {.pad = Padding::all(1), .groups = 96});
}

// oneDNN 3.1 writes behind its scratchpad there (jit_1x1:avx2, weights).
TEST_CASE("conv: strided 1x1 convolutions of few channels are not oneDNN's") {
  const auto stream = Stream::cpu();
  const auto weights_by = [&](int64_t channels, int stride) {
    const Geometry g =
        geometry_of(empty(*stream, {2, 8, 8, channels}), empty(*stream, {channels, 1, 1, channels}),
                    {}, {.stride = stride});
    return onednn_implementation(*stream, g, DType::f32, Algorithm::direct, Pass::weights);
  };
  if (weights_by(16, 1).empty()) return skip("conv: strided 1x1", "built without oneDNN");
  CHECK_FALSE(weights_by(4, 1).empty());
  CHECK_FALSE(weights_by(16, 2).empty());
  CHECK(weights_by(4, 2).empty());
}

TEST_CASE("conv: a chain of blocked layers is converted at its start alone") {
  const auto stream = Stream::cpu();
  std::mt19937_64 generator(3);
  const auto weights = [&](int64_t co, int64_t ci) {
    return from_values(*stream, {co, 3, 3, ci}, random_values(co * 9 * ci, generator));
  };
  const Tensor image = from_values(*stream, {2, 9, 11, 32}, random_values(2 * 99 * 32, generator));
  const Tensor first = weights(48, 32), second = weights(32, 48);
  const ConvOptions same{.pad = Padding::all(1)};
  Tape tape(*stream);
  const Tensor x = tape.watch(image), w = tape.watch(second);
  const int64_t before = layout_conversions().count;
  const Tensor y = conv(tape, conv(tape, x, first, {}, same), w, {}, same);
  if (y.layout == Layout::nhwc) return skip("conv: blocked chain", "no oneDNN or no AVX-512");
  CHECK(layout_conversions().count == before + 1);  // x alone
  Tensor dy = empty_like(y);
  std::fill_n(dy.data<float>(), dy.size(), 0.5f);
  tape.backward(y, dy);
  CHECK(layout_conversions().count == before + 2);  // dx, back to x's layout
  CHECK(tape.gradient(x).layout == Layout::nhwc);
  const auto own = Stream::cpu({.vendor = false});
  Tape other(*own);
  const Tensor x2 = other.watch(image), w2 = other.watch(second);
  const Tensor y2 = conv(other, conv(other, x2, first, {}, same), w2, {}, same);
  CHECK(y2.layout == Layout::nhwc);
  other.backward(y2, to_layout(dy, Layout::nhwc));
  CHECK(distance(values(y), values(y2), 9 * 48) <= 4e-6);
  CHECK(distance(values(tape.gradient(x)), values(other.gradient(x2)), 9 * 48) <= 4e-6);
  CHECK(distance(values(tape.gradient(w)), values(other.gradient(w2)), 198) <= 4e-6);
}

TEST_CASE("conv: packed weights are made anew when the parameter changes") {
  for (const bool vendor : {true, false}) {
    const auto stream = Stream::cpu({.vendor = vendor});
    std::mt19937_64 generator(5);
    const Tensor x = from_values(*stream, {2, 8, 8, 32}, random_values(2 * 64 * 32, generator));
    Parameter w("w", from_values(*stream, {32, 3, 3, 32}, random_values(9216, generator)));
    const auto once = [&] {  // forward, dx
      Tape tape(*stream);
      const Tensor in = tape.watch(x);
      const Tensor y = conv(tape, in, w.on(tape), {}, {.pad = Padding::all(1)});
      Tensor dy = empty_like(y);
      std::fill_n(dy.data<float>(), dy.size(), 1.0f);
      tape.backward(y, dy);
      return std::pair{values(y), values(tape.gradient(in))};
    };
    const auto [y, dx] = once();
    CHECK(once() == std::pair{y, dx});
    for (int64_t i = 0; i < w.master.size(); ++i) w.master.at<float>(i) *= 2;
    w.bump();
    const auto [y2, dx2] = once();  // twice everything, exactly
    for (size_t i = 0; i < y.size(); ++i) REQUIRE(y2[i] == 2 * y[i]);
    for (size_t i = 0; i < dx.size(); ++i) REQUIRE(dx2[i] == 2 * dx[i]);
  }
}

// Of a parameter every phase of the stride has its own packed weights.
TEST_CASE(
    "conv: a strided, dilated or grouped layer of a parameter agrees with f64, step by step") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 generator(seed);
  for (const ConvOptions& options :
       {ConvOptions{.stride = 2, .pad = {1, 0, 1, 2}},
        ConvOptions{.stride = 3, .pad = Padding::all(1)},
        ConvOptions{.stride = 2, .pad = Padding::all(2), .dilation = 2},
        ConvOptions{.stride = 2, .pad = Padding::all(1), .groups = 2},
        ConvOptions{.pad = Padding::all(1), .groups = 6}}) {
    const Problem p{{2, 9, 8, 6}, {6, 3, 3, 6 / options.groups}, options, false};
    for (const bool vendor : {true, false}) {
      const auto stream = Stream::cpu({.vendor = vendor});
      Parameter w("w", zeros(*stream, p.weight));
      for (int step = 0; step < 2; ++step) {
        const Values v = values_for(p, generator);
        for (int64_t i = 0; i < w.master.size(); ++i) {
          w.master.at<float>(i) = static_cast<float>(v.weight[i]);
        }
        w.bump();
        w.has_gradient = false;
        Tape tape(*stream);
        const Tensor x = tape.watch(from_values(*stream, p.x, v.x));
        const Tensor y = conv(tape, x, w.on(tape), {}, options);
        tape.backward(y, to_layout(from_values(*stream, y.shape, v.dy), y.layout));
        INFO("stride ", options.stride, ", dilation ", options.dilation, ", groups ",
             options.groups, ", step ", step, vendor ? ", oneDNN" : ", own");
        check_close({values(y), values(tape.gradient(x)), values(w.gradient), {}},
                    by_op(cpu_stream(), p, v, DType::f64), p);
      }
    }
  }
}

TEST_CASE("conv: once warm, a step takes no memory from the machine") {
  for (const bool vendor : {true, false}) {
    const auto stream = Stream::cpu({.vendor = vendor});
    Parameter w("w", zeros(*stream, {32, 3, 3, 32}));
    const auto step = [&] {
      Tape tape(*stream);
      const Tensor x = tape.watch(zeros(*stream, {2, 12, 12, 32}));
      const Tensor y = conv(tape, x, w.on(tape), {}, {.pad = Padding::all(1)});
      Tensor dy = empty_like(y);
      fill_zero(dy);
      tape.backward(y, dy);
      w.bump();
    };
    step();
    const int64_t calls = stream->allocator()->stats().source_calls;
    step();
    CHECK(stream->allocator()->stats().source_calls == calls);
  }
}

TEST_CASE("conv: a NaN never vanishes") {
  const Problem p{{1, 6, 6, 32}, {32, 3, 3, 32}, {.pad = Padding::all(1)}, false};
  std::mt19937_64 generator(9);
  const Values clean = values_for(p, generator);
  const auto stream = Stream::cpu();
  const auto reaches = [](const std::vector<double>& expected, const std::vector<double>& found) {
    for (size_t i = 0; i < expected.size(); ++i) {
      if (std::isnan(expected[i]) && !std::isnan(found[i])) return false;
    }
    return true;
  };
  for (std::vector<double> Values::*where : {&Values::x, &Values::weight, &Values::dy}) {
    Values v = clean;
    (v.*where)[100] = NAN;
    const Result expected = by_op(*stream, p, v, DType::f64);
    for (const Algorithm algorithm : kAlgorithms) {
      INFO(name_of(algorithm));
      const Result r = by_algorithm(*stream, algorithm, p, v);
      CHECK(reaches(expected.y, r.y));
      CHECK(reaches(expected.dx, r.dx));
      CHECK(reaches(expected.dw, r.dw));
    }
  }
}

TEST_CASE("conv: wrong arguments are named with their shapes") {
  Tape tape = Tape::off(cpu_stream(), DType::f64);
  const auto error = [&](const Shape& x, const Shape& weight, const ConvOptions& options,
                         const Tensor& bias = {}) {
    return error_of([&] {
      conv(tape, zeros(cpu_stream(), x, DType::f64), zeros(cpu_stream(), weight, DType::f64), bias,
           options);
    });
  };
  CHECK(contains(error({4, 4, 1}, {1, 1, 1, 1}, {}),
                 "conv: x must be [N, H, W, Cin]; got [4, 4, 1]"));
  CHECK(contains(error({1, 4, 4, 1}, {3, 3}, {}),
                 "conv: weight must be [Cout, kh, kw, Cin / groups]; got [3, 3]"));
  CHECK(contains(error({1, 4, 4, 3}, {8, 3, 3, 4}, {}),
                 "conv: weight must be [8, 3, 3, 3], 3 channels of x [1, 4, 4, 3] in 1 groups; got "
                 "[8, 3, 3, 4]"));
  CHECK(contains(error({1, 4, 4, 3}, {8, 3, 3, 1}, {.groups = 2}),
                 "2 groups must divide both the 3 "));
  CHECK(
      contains(error({1, 4, 4, 1}, {1, 5, 5, 1}, {}),
               "a window of 5 x 5 (weight [1, 5, 5, 1], dilation 1) does not fit the padded image "
               "of 4 x 4"));
  CHECK(contains(error({1, 4, 4, 1}, {1, 1, 1, 1}, {.stride = 0}),
                 "stride must be at least 1; got 0"));
  CHECK(contains(error({1, 4, 4, 1}, {1, 1, 1, 1}, {.pad = {0, -1, 0, 0}}),
                 "paddings must not be negative; got {top 0, bottom -1, left 0, right 0}"));
  CHECK(
      contains(error({1, 4, 4, 1}, {1, 1, 1, 1}, {.dilation = -2}), "dilation must be at least 1"));
  const int64_t huge = int64_t{1} << 62;  // would overflow in sums
  CHECK(contains(
      error({1, 4, 4, 1}, {1, 1, 1, 1}, {.pad = {huge, huge, 0, 0}}),
      "stride, dilation, groups and paddings must be at most 1073741824; got 46116860184"));
  CHECK(contains(error({1, 4, 4, 1}, {1, 2, 2, 1}, {.dilation = huge}), "must be at most"));
  CHECK(contains(error({0, 4, 4, 1}, {1, 1, 1, 1}, {}), "nothing to compute: x [0, 4, 4, 1]"));
  CHECK(contains(error({1, 4, 4, 1}, {2, 1, 1, 1}, {}, tensor({3}, {1, 2, 3})),
                 "bias must be [2], one value per output channel of weight [2, 1, 1, 1]; got [3]"));
  CHECK(contains(error_of([&] {
                   conv(tape, tensor({1, 1, 1, 1}, {1}, DType::f32), tensor({1, 1, 1, 1}, {1}), {});
                 }),
                 "weight must be f32 as x is; got f64"));
}
