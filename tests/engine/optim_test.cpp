#include <cmath>
#include <memory>
#include <random>

#include "engine/optim/optimizer.hpp"
#include "engine/tensor/cast.hpp"
#include "tests/support/distance.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

using Kind = OptimizerOptions::Kind;

void give(Parameter& p, const std::vector<double>& gradient) {
  p.gradient = tensor(p.master.shape, gradient, p.master.dtype);
  p.has_gradient = true;
}

// One weight of value 1; the weights after each of `gradients`, at rate 0.1.
std::vector<double> walk(const OptimizerOptions& options, double decay,
                         const std::vector<double>& gradients, DType dtype) {
  const auto stream = Stream::cpu();
  Parameter w("w", tensor({1}, {1}, dtype));
  Optimizer optimizer(*stream, {{.name = "all", .parameters = {&w}, .weight_decay = decay}},
                      options, LearningRates::constant(0.1, 10));
  std::vector<double> path;
  for (const double g : gradients) {
    give(w, {g});
    optimizer.step();
    path.push_back(values(w.master)[0]);
  }
  return path;
}

void check_walk(const OptimizerOptions& options, double decay, const std::vector<double>& gradients,
                const std::vector<double>& wanted) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const std::vector<double> path = walk(options, decay, gradients, dtype);
    for (size_t i = 0; i < wanted.size(); ++i) {
      INFO("step ", i, ", ", name_of(dtype));
      CHECK(path[i] == doctest::Approx(wanted[i]).epsilon(dtype == DType::f64 ? 1e-8 : 1e-6));
    }
  }
}

// A small run on random gradients: the weights and everything kept.
struct Run {
  std::unique_ptr<Stream> stream;
  std::vector<std::unique_ptr<Parameter>> parameters;
  std::unique_ptr<Optimizer> optimizer;
  std::mt19937_64 generator;

  Run(const OptimizerOptions& options, DType dtype, uint64_t seed, int threads = 1,
      int64_t size = 7)
      : stream(Stream::cpu({.threads = threads})), generator(seed) {
    for (const char* name : {"conv.weight", "norm.gamma"}) {
      parameters.push_back(std::make_unique<Parameter>(name, draw(size, dtype)));
    }
    parameters[1]->decay = false;
    optimizer = std::make_unique<Optimizer>(
        *stream,
        std::vector<ParameterGroup>{
            {.name = "body", .parameters = {parameters[0].get()}, .weight_decay = 0.05},
            {.name = "head", .parameters = {parameters[1].get()}, .lr_scale = 0.5}},
        options, LearningRates::cosine(0.01, 40, 4));
  }
  Tensor draw(int64_t size, DType dtype) {
    std::vector<double> v(size);
    for (double& x : v) {
      x = static_cast<float>(static_cast<double>(generator() >> 40) * 0x1p-23 - 1);
    }
    return from_values(*stream, {size}, v, dtype);
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) {
      for (const auto& p : parameters) {
        p->gradient = draw(p->master.size(), p->master.dtype);
        p->has_gradient = true;
      }
      optimizer->step();
    }
  }
  std::vector<double> all() const {
    std::vector<double> v;
    const auto append = [&v](const Tensor& t) {
      const std::vector<double> more = values(t);
      v.insert(v.end(), more.begin(), more.end());
    };
    for (const auto& p : parameters) append(p->master);
    for (const auto& [name, t] : optimizer->state()) append(t);
    return v;
  }
};

const OptimizerOptions kEveryKind[] = {
    {.kind = Kind::sgd, .momentum = 0, .clip_norm = 1},
    {.kind = Kind::sgd, .momentum = 0.9, .ema_decay = 0.9},
    {.kind = Kind::sgd, .momentum = 0.9, .nesterov = true},
    {.kind = Kind::adam, .clip_norm = 0.5, .ema_decay = 0.8},
    {.kind = Kind::adamw, .beta1 = 0.8, .beta2 = 0.95},
};

}  // namespace

TEST_CASE("optimizer: sgd by hand") {
  check_walk({.kind = Kind::sgd, .momentum = 0}, 0, {0.5, -1}, {0.95, 1.05});
  // b = 0.5, then 0.9 * 0.5 + 0.5 = 0.95
  check_walk({.kind = Kind::sgd, .momentum = 0.9}, 0, {0.5, 0.5}, {0.95, 0.855});
  // 0.5 + 0.9 * 0.5 = 0.95, then 0.5 + 0.9 * 0.95 = 1.355
  check_walk({.kind = Kind::sgd, .momentum = 0.9, .nesterov = true}, 0, {0.5, 0.5},
             {0.905, 0.7695});
  // g = 0.5 + 0.2 * 1
  check_walk({.kind = Kind::sgd, .momentum = 0}, 0.2, {0.5}, {0.93});
}

TEST_CASE("optimizer: adam and adamw by hand") {
  // The first step moves by the rate. Then m = 0.9 * 0.05 - 0.05 = -0.005, over 0.19; v is 0.25.
  check_walk({.kind = Kind::adam}, 0, {0.5, -0.5}, {0.9, 0.9 + 0.1 * (0.005 / 0.19) / 0.5});
  // Decay beside the gradient changes nothing in a first step; decoupled it shrinks w first.
  check_walk({.kind = Kind::adam}, 0.2, {0.5}, {0.9});
  check_walk({.kind = Kind::adamw}, 0.2, {0.5}, {0.88});
  // A large eps: 0.5 / (0.5 + 0.5)
  check_walk({.kind = Kind::adam, .eps = 0.5}, 0, {0.5}, {0.95});
}

TEST_CASE("optimizer: f32 follows f64 for every kind, with clipping, decay and averages") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  for (const OptimizerOptions& options : kEveryKind) {
    Run f64(options, DType::f64, seed), f32(options, DType::f32, seed);
    f64.steps(20);
    f32.steps(20);
    CHECK(distance(f32.all(), f64.all()) < 1e-6);
  }
}

TEST_CASE("optimizer: the same bits for any number of threads") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  for (const OptimizerOptions& options : kEveryKind) {
    Run one(options, DType::f32, seed, 1, 100003), three(options, DType::f32, seed, 3, 100003);
    one.steps(2);
    three.steps(2);
    CHECK(one.all() == three.all());
  }
}

TEST_CASE("optimizer: a run goes on from its state as if it had never stopped") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  for (const OptimizerOptions& options : kEveryKind) {
    Run whole(options, DType::f32, seed), first(options, DType::f32, seed),
        second(options, DType::f32, seed);
    whole.steps(9);
    first.steps(5);
    for (size_t i = 0; i < 2; ++i) {
      copy_into(second.parameters[i]->master, first.parameters[i]->master);
    }
    const auto from = first.optimizer->state();
    auto to = second.optimizer->state();
    REQUIRE(from.size() == to.size());
    for (size_t i = 0; i < to.size(); ++i) {
      CHECK(from[i].first == to[i].first);
      copy_into(to[i].second, from[i].second);
    }
    *second.stream->state() = *first.stream->state();
    second.generator = first.generator;
    second.steps(4);
    CHECK(second.all() == whole.all());
  }
}

TEST_CASE("optimizer: clipping scales all gradients by their common norm") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const auto stream = Stream::cpu();
    Parameter a("a", tensor({1}, {0}, dtype)), b("b", tensor({1}, {0}, dtype));
    Optimizer optimizer(*stream, {{.name = "all", .parameters = {&a, &b}}},
                        {.kind = Kind::sgd, .momentum = 0, .clip_norm = 1},
                        LearningRates::constant(1, 2));
    give(a, {3});
    give(b, {4});
    optimizer.step();
    CHECK(optimizer.gradient_norm() == doctest::Approx(5));
    CHECK(values(a.master)[0] == doctest::Approx(-3 / (5 + 1e-6)));
    CHECK(values(b.master)[0] == doctest::Approx(-4 / (5 + 1e-6)));
    give(a, {0.3});  // below the limit: as it is
    optimizer.step();
    CHECK(values(a.master)[0] == doctest::Approx(-3 / (5 + 1e-6) - 0.3));
    CHECK(values(b.master)[0] == doctest::Approx(-4 / (5 + 1e-6)));  // no gradient, no update
  }
}

TEST_CASE("optimizer: a group has its own rate and decay, and biases are not decayed") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const auto stream = Stream::cpu();
    Parameter a("a", tensor({1}, {1}, dtype)), b("b", tensor({1}, {1}, dtype)),
        c("c", tensor({1}, {1}, dtype));
    c.decay = false;
    Optimizer optimizer(
        *stream,
        {{.name = "taken", .parameters = {&a}, .lr_scale = 0.25, .weight_decay = 0.5},
         {.name = "fresh", .parameters = {&b, &c}, .weight_decay = 2}},
        {.kind = Kind::sgd, .momentum = 0}, LearningRates::constant(0.1, 1));
    for (Parameter* p : {&a, &b, &c}) give(*p, {1});
    optimizer.step();
    CHECK(values(a.master)[0] == doctest::Approx(1 - 0.025 * (1 + 0.5)));
    CHECK(values(b.master)[0] == doctest::Approx(1 - 0.1 * (1 + 2)));
    CHECK(values(c.master)[0] == doctest::Approx(1 - 0.1 * 1));
  }
}

TEST_CASE("optimizer: the norm counts every value of a large parameter") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const int64_t n = (3 << 15) + 5;  // more than one piece, and a rest
    const auto stream = Stream::cpu({.threads = 2});
    Parameter w("w", zeros(*stream, {n}, dtype));
    Optimizer optimizer(*stream, {{.name = "all", .parameters = {&w}}},
                        {.kind = Kind::sgd, .momentum = 0}, LearningRates::constant(1, 2));
    give(w, std::vector<double>(n, 2));
    optimizer.step();
    CHECK(optimizer.gradient_norm() == doctest::Approx(2 * std::sqrt(double(n))).epsilon(1e-12));
    CHECK(values(w.master) == std::vector<double>(n, -2));
    std::vector<double> last(n, 0);
    last.back() = 3;
    give(w, last);
    optimizer.step();
    CHECK(optimizer.gradient_norm() == 3);
  }
}

TEST_CASE("optimizer: gradients that are not finite change nothing and are counted as skipped") {
  const auto stream = Stream::cpu();
  Parameter w("w", tensor({2}, {1, 2}, DType::f32));
  Optimizer optimizer(*stream, {{.name = "all", .parameters = {&w}}}, {.ema_decay = 0.5},
                      LearningRates::constant(0.1, 3));
  for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    give(w, {0.5, bad});
    const uint64_t version = w.version();
    optimizer.step();
    CHECK(stream->state()->skip == 1);
    CHECK(stream->state()->updates == 0);
    CHECK(values(w.master) == std::vector{1.0, 2.0});
    CHECK(w.version() == version);
    CHECK_FALSE(w.has_gradient);
  }
  give(w, {0.5, 0.5});
  optimizer.step();
  CHECK(stream->state()->step == 3);
  CHECK(stream->state()->updates == 1);
  CHECK(stream->state()->skip == 0);
  CHECK(values(w.master)[0] == doctest::Approx(0.9));  // a first step of Adam
}

TEST_CASE("optimizer: the loss scale is taken out, frozen parameters stay") {
  const auto stream = Stream::cpu();
  stream->state()->loss_scale = 1024;
  Parameter w("w", tensor({1}, {1}, DType::f32)), frozen("f", tensor({1}, {1}, DType::f32));
  frozen.trainable = false;
  Optimizer optimizer(*stream, {{.name = "all", .parameters = {&w, &frozen}, .weight_decay = 0.5}},
                      {.kind = Kind::sgd, .momentum = 0, .clip_norm = 100},
                      LearningRates::constant(0.1, 1));
  give(w, {512});
  give(frozen, {512});
  optimizer.step();
  CHECK(optimizer.gradient_norm() == 0.5);
  CHECK(values(w.master)[0] == doctest::Approx(0.9));  // 1 - 0.1 * (0.5 + 0.5 * 1)
  CHECK(values(frozen.master)[0] == 1);
}

TEST_CASE("optimizer: averages start at the first update, are swapped in and out, buffers too") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const auto stream = Stream::cpu();
    Parameter w("w", tensor({1}, {1}, dtype));
    const Tensor buffer = tensor({1}, {8}, dtype);
    Optimizer optimizer(*stream, {{.name = "all", .parameters = {&w}}},
                        {.kind = Kind::sgd, .momentum = 0, .ema_decay = 0.75},
                        LearningRates::constant(1, 5));
    optimizer.average_buffers({{"norm.running_mean", buffer}});
    give(w, {-1});
    optimizer.step();  // w = 2, e = 2
    give(w, {-4});
    if (dtype == DType::f64) {
      buffer.at<double>(0) = 16;
    } else {
      buffer.at<float>(0) = 16;
    }
    optimizer.step();  // w = 6, e = 0.75 * 2 + 0.25 * 6 = 3; buffer 16, 0.75 * 8 + 0.25 * 16 = 10
    const uint64_t version = w.version();
    optimizer.swap_in_ema();
    CHECK(values(w.master) == std::vector{3.0});
    CHECK(values(buffer) == std::vector{10.0});
    CHECK(w.version() > version);
    CHECK(contains(error_of([&] { optimizer.step(); }), "swap_out_ema"));
    CHECK(contains(error_of([&] { (void)optimizer.state(); }), "swap_out_ema"));
    CHECK(contains(error_of([&] { optimizer.swap_in_ema(); }), "swapped in already"));
    optimizer.swap_out_ema();
    CHECK(values(w.master) == std::vector{6.0});
    CHECK(values(buffer) == std::vector{16.0});
    const auto state = optimizer.state();
    REQUIRE(state.size() == 2);
    CHECK(state[0].first == "ema.w");
    CHECK(values(state[0].second) == std::vector{3.0});
    CHECK(state[1].first == "ema.norm.running_mean");
  }
}

TEST_CASE("optimizer: the average of a weight without a gradient goes on toward it") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const auto stream = Stream::cpu();
    Parameter a("a", tensor({1}, {0}, dtype)), b("b", tensor({1}, {0}, dtype));
    Optimizer optimizer(*stream, {{.name = "all", .parameters = {&a, &b}}},
                        {.kind = Kind::sgd, .momentum = 0, .ema_decay = 0.5},
                        LearningRates::constant(1, 3));
    for (const double gradient : {-2.0, -6.0}) {  // a = 2, e = 2; a = 8, e = 5
      give(a, {gradient});
      give(b, {0});
      optimizer.step();
    }
    give(b, {0});
    optimizer.step();  // a stays 8; e = (5 + 8) / 2
    CHECK(values(a.master) == std::vector{8.0});
    CHECK(values(optimizer.state()[0].second) == std::vector{6.5});
  }
}

TEST_CASE("learning rates: warm-up, half a cosine, steps") {
  const LearningRates cosine = LearningRates::cosine(1, 6, 2, 0.2);
  CHECK(cosine[0] == 0.5);
  CHECK(cosine[1] == 1);
  CHECK(cosine[2] == 1);
  CHECK(cosine[4] == doctest::Approx(0.6));  // half way from 1 to 0.2
  CHECK(cosine[5] == doctest::Approx(0.2 + 0.8 * (1 - std::sqrt(0.5)) / 2));
  const LearningRates steps = LearningRates::steps(1, 5, {2, 4}, 0.5, 1);
  for (const auto& [s, rate] : {std::pair{0, 1.0}, {1, 1.0}, {2, 0.5}, {3, 0.5}, {4, 0.25}}) {
    CHECK(steps[s] == rate);
  }
  CHECK(LearningRates::constant(0.3, 4)[3] == 0.3);
  CHECK(contains(error_of([] { LearningRates::cosine(1, 3, 4); }),
                 "the warm-up must be 0 to 3 steps; got 4"));
  CHECK(contains(error_of([] { LearningRates({1, NAN}); }), "step 1 has nan"));
}

TEST_CASE("optimizer: errors name what was needed and what came") {
  const auto stream = Stream::cpu();
  Parameter w("w", tensor({1}, {1}));
  const auto make = [&](std::vector<ParameterGroup> groups, const OptimizerOptions& options) {
    return Optimizer(*stream, std::move(groups), options, LearningRates::constant(0.1, 1));
  };
  const ParameterGroup all{.name = "all", .parameters = {&w}};
  CHECK(contains(error_of([&] { make({all, all}, {}); }), "parameter w is given twice"));
  CHECK(contains(error_of([&] { make({{.name = "none"}}, {}); }), "group none has no parameter"));
  CHECK(contains(error_of([&] { make({all}, {.beta2 = 1}); }),
                 "beta2 must be at least 0 and below 1; got 1"));
  CHECK(
      contains(error_of([&] { make({all}, {.kind = Kind::sgd, .momentum = 0, .nesterov = true}); }),
               "nesterov needs a momentum"));
  Optimizer optimizer = make({all}, {});
  optimizer.step();
  CHECK(contains(error_of([&] { optimizer.step(); }),
                 "step 1 is beyond the learning rates of 1 steps"));
  CHECK(contains(error_of([&] { optimizer.swap_in_ema(); }), "ema_decay is 0"));
  Optimizer averaging = make({all}, {.ema_decay = 0.5});
  for (const DType dtype : {DType::i32, DType::bf16}) {
    CHECK(
        contains(error_of([&] {
                   averaging.average_buffers({{"n", tensor({1}, {1}, dtype)}});
                 }),
                 concat_text("average_buffers: n must be f32 or f64 on the cpu as the stream; got ",
                             dtype)));
  }
  CHECK(contains(error_of([&] { averaging.average_buffers({{"n", Tensor{}}}); }), "got none"));
}
