// Optimizers on the emulated GPU: against the CPU's f32 path and the f64 reference over several
// steps, what is decided on the device, and a step captured as a graph.
#include <cmath>

#include "engine/device/captured_work.hpp"
#include "engine/optim/optimizer.hpp"
#include "engine/tensor/cast.hpp"
#include "kernels/runtime.hpp"
#include "tests/simt/op_cases.hpp"
#include "tests/support/distance.hpp"

using namespace gliograd;
using simt::expect_nothing;
using simt::fresh_seed;
using simt::fresh_stream;
using test::distance;

namespace {

using Kind = OptimizerOptions::Kind;

const OptimizerOptions kEveryKind[] = {
    {.kind = Kind::sgd, .momentum = 0, .clip_norm = 1},
    {.kind = Kind::sgd, .momentum = 0, .ema_decay = 0.7},
    {.kind = Kind::sgd, .momentum = 0.9, .clip_norm = 1e6, .ema_decay = 0.9},
    {.kind = Kind::sgd, .momentum = 0.9, .nesterov = true},
    {.kind = Kind::adam, .clip_norm = 0.5, .ema_decay = 0.8},
    {.kind = Kind::adam},
    {.kind = Kind::adamw, .beta1 = 0.8, .beta2 = 0.95},
    {.kind = Kind::adamw, .clip_norm = 2, .ema_decay = 0.99},
};

// Around every pack and chunk: tails, one value, more than one chunk.
constexpr int64_t kCounts[] = {1, 7, 33, 257, 4096, 4097, 9003};

// One run on random gradients, the same for any stream of one seed.
struct Run {
  Stream& stream;
  std::vector<std::unique_ptr<Parameter>> parameters;
  Tensor buffer;
  std::unique_ptr<Optimizer> optimizer;
  std::mt19937_64 generator;

  Run(Stream& on, const OptimizerOptions& options, uint64_t seed, DType dtype = DType::f32)
      : stream(on), generator(seed) {
    std::vector<ParameterGroup> groups{{.name = "body", .weight_decay = 0.05},
                                       {.name = "head", .lr_scale = 0.5, .weight_decay = 0.01}};
    for (const int64_t count : kCounts) {
      const size_t i = parameters.size();
      parameters.push_back(std::make_unique<Parameter>(
          "p" + std::to_string(i), from_values(stream, {count}, draw(count), dtype)));
      parameters[i]->decay = i % 3 != 1;
      parameters[i]->gradient = empty_like(parameters[i]->master);
      groups[i % 2].parameters.push_back(parameters[i].get());
    }
    buffer = from_values(stream, {5}, draw(5), dtype);
    optimizer =
        std::make_unique<Optimizer>(stream, groups, options, LearningRates::cosine(0.01, 40, 4));
    optimizer->average_buffers({{"running", buffer}});
  }
  std::vector<double> draw(int64_t count) {
    std::vector<double> v(static_cast<size_t>(count));
    for (double& x : v) {
      x = static_cast<float>(static_cast<double>(generator() >> 40) * 0x1p-23 - 1);
    }
    return v;
  }
  void give(Parameter& p, const std::vector<double>& values) {
    copy_into(p.gradient, from_values(stream, p.master.shape, values, p.master.dtype));
    p.has_gradient = true;
  }
  // `bad` spoils one value; `without` gets no gradient.
  void step(double bad = 0, size_t without = 99) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      std::vector<double> g = draw(parameters[i]->master.size());
      if (bad != 0 && i == 5) g.back() = bad;
      if (i != without) give(*parameters[i], g);
    }
    copy_into(buffer, from_values(stream, {5}, draw(5), buffer.dtype));
    optimizer->step();
  }
  std::vector<double> all() const {
    std::vector<double> v;
    const auto append = [&v](const Tensor& t) {
      const std::vector<double> more = to_values(t);
      v.insert(v.end(), more.begin(), more.end());
    };
    for (const auto& p : parameters) append(p->master);
    for (const auto& [name, t] : optimizer->state()) append(t);
    return v;
  }
};

}  // namespace

TEST_CASE("GPU optimizer: every kind follows the CPU's f32 and f64 over 8 steps") {
  for (const OptimizerOptions& options : kEveryKind) {
    const uint64_t seed = fresh_seed();
    INFO("seed ", seed);
    const std::unique_ptr<Stream> gpu = fresh_stream(), cpu = Stream::cpu();
    const std::unique_ptr<Stream> exact_stream = Stream::cpu();
    Run run(*gpu, options, seed), same(*cpu, options, seed),
        exact(*exact_stream, options, seed, DType::f64);
    for (int i = 0; i < 8; ++i) {
      // The second step is skipped; in the sixth one parameter has no gradient.
      for (Run* r : {&run, &same, &exact}) r->step(i == 1 ? INFINITY : 0, i == 5 ? 4 : 99);
      if (i == 1) CHECK(std::isinf(run.optimizer->gradient_norm()));
      if (i == 7) {
        CHECK(run.optimizer->gradient_norm() ==
              doctest::Approx(same.optimizer->gradient_norm()).epsilon(1e-12));
      }
    }
    CHECK(distance(run.all(), exact.all()) < 1e-6);
    CHECK(distance(run.all(), same.all()) < 1e-7);
    const StepState a = gpu->read_state(), b = cpu->read_state();
    CHECK(a.step == 8);
    CHECK(a.updates == 7);
    CHECK((a.step == b.step && a.updates == b.updates && a.skip == b.skip));
    for (const auto& p : run.parameters) CHECK_FALSE(p->has_gradient);
  }
  expect_nothing();
}

TEST_CASE("GPU optimizer: gradients that are not finite change nothing, on the device's word") {
  for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    const std::unique_ptr<Stream> stream = fresh_stream();
    Run run(*stream, {.kind = Kind::adam, .clip_norm = 1, .ema_decay = 0.5}, 7);
    run.step();
    const std::vector<double> before = run.all();
    run.step(bad);
    CHECK(run.all() == before);
    CHECK_FALSE(std::isfinite(run.optimizer->gradient_norm()));
    StepState state = stream->read_state();
    CHECK((state.step == 2 && state.updates == 1 && state.skip == 1));
    run.step();
    CHECK(run.all() != before);
    state = stream->read_state();
    CHECK((state.step == 3 && state.updates == 2 && state.skip == 0));
  }
  expect_nothing();
}

TEST_CASE("GPU optimizer: loss scale, frozen parameters, and squares beyond f32") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  StepState state;
  state.loss_scale = 0x1p80f;
  stream->write_state(state);
  Parameter w("w", from_values(*stream, {2}, {1, 1})), frozen("f", from_values(*stream, {1}, {1}));
  frozen.trainable = false;
  for (Parameter* p : {&w, &frozen}) p->gradient = empty_like(p->master);
  Optimizer optimizer(*stream, {{.name = "all", .parameters = {&w, &frozen}, .weight_decay = 0.5}},
                      {.kind = Kind::sgd, .momentum = 0, .clip_norm = 100},
                      LearningRates::constant(0.1, 1));
  CHECK(std::isnan(optimizer.gradient_norm()));
  copy_into(w.gradient, from_values(*stream, {2}, {3 * 0x1p80, 4 * 0x1p80}));
  copy_into(frozen.gradient, from_values(*stream, {1}, {0x1p80}));
  w.has_gradient = frozen.has_gradient = true;
  const uint64_t version = w.version();
  optimizer.step();
  CHECK(optimizer.gradient_norm() == 5);
  CHECK(to_values(w.master)[0] == doctest::Approx(1 - 0.1 * (3 + 0.5)));
  CHECK(to_values(w.master)[1] == doctest::Approx(1 - 0.1 * (4 + 0.5)));
  CHECK(to_values(frozen.master)[0] == 1);
  CHECK(w.version() > version);

  optimizer.step();  // beyond the table: nothing changes, and whoever asks is told
  CHECK_THROWS_WITH_AS((void)optimizer.gradient_norm(),
                       doctest::Contains("beyond the learning rates of 1 steps"), Error);
  CHECK(to_values(w.master)[0] == doctest::Approx(1 - 0.1 * (3 + 0.5)));
  state = stream->read_state();
  CHECK((state.step == 2 && state.updates == 1 && state.skip == 1));
  expect_nothing();
}

TEST_CASE("GPU optimizer: the loss scale halves on overflow and doubles after steady steps") {
  const std::unique_ptr<Stream> cpu = Stream::cpu(), gpu = fresh_stream();
  for (Stream* stream : {cpu.get(), gpu.get()}) {
    StepState state;
    state.loss_scale = 1024;
    stream->write_state(state);
    Parameter w("w", from_values(*stream, {1}, {1}));
    w.gradient = empty_like(w.master);
    Optimizer optimizer(*stream, {{.name = "all", .parameters = {&w}}},
                        {.kind = Kind::sgd, .momentum = 0, .scale_interval = 2},
                        LearningRates::constant(0.1, 9));
    const auto scale_after = [&](double gradient) {
      copy_into(w.gradient, from_values(*stream, {1}, {gradient}));
      w.has_gradient = true;
      optimizer.step();
      return stream->read_state().loss_scale;
    };
    CHECK(scale_after(1024) == 1024);
    CHECK(to_values(w.master)[0] == doctest::Approx(0.9));  // by the scale it was made with
    CHECK(scale_after(INFINITY) == 512);
    CHECK(scale_after(512) == 512);
    CHECK(scale_after(512) == 1024);
    CHECK(to_values(w.master)[0] == doctest::Approx(0.7));
    CHECK(scale_after(1024) == 1024);
    CHECK(stream->read_state().updates == 4);
  }
  expect_nothing();
}

TEST_CASE("GPU optimizer: averages are swapped in and out, of buffers too") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  Run run(*stream, {.kind = Kind::adamw, .ema_decay = 0.75}, 11);
  for (int i = 0; i < 3; ++i) run.step();
  const auto weights = [&] {
    std::vector<std::vector<double>> v;
    for (const auto& p : run.parameters) v.push_back(to_values(p->master));
    v.push_back(to_values(run.buffer));
    return v;
  };
  const auto raw = weights();
  std::vector<std::vector<double>> averages;
  for (const auto& [name, t] : run.optimizer->state()) {
    if (name.starts_with("ema.")) averages.push_back(to_values(t));
  }
  REQUIRE(averages.size() == raw.size());
  const uint64_t version = run.parameters[0]->version();
  run.optimizer->swap_in_ema();
  // State lists the groups one after the other: averages of p0, p2, p4, p6, then p1, p3, p5.
  const auto swapped = weights();
  const size_t order[] = {0, 2, 4, 6, 1, 3, 5, 7};
  for (size_t i = 0; i < raw.size(); ++i) CHECK(swapped[order[i]] == averages[i]);
  CHECK(swapped[6] != raw[6]);
  CHECK(run.parameters[0]->version() > version);
  CHECK_THROWS_WITH_AS(run.optimizer->step(), doctest::Contains("swap_out_ema"), Error);
  run.optimizer->swap_out_ema();
  CHECK(weights() == raw);
  expect_nothing();
}

TEST_CASE("GPU optimizer: a run goes on from its state as if it had never stopped") {
  const OptimizerOptions options{.kind = Kind::adam, .clip_norm = 1, .ema_decay = 0.9};
  const std::unique_ptr<Stream> one = fresh_stream(), two = Stream::cuda(), three = Stream::cuda();
  Run whole(*one, options, 3), first(*two, options, 3), second(*three, options, 4);
  for (int i = 0; i < 5; ++i) whole.step();
  for (int i = 0; i < 3; ++i) first.step();
  const auto hand_on = [&](Tensor to, const Tensor& from) { copy_into(to, copy_to(*three, from)); };
  for (size_t i = 0; i < first.parameters.size(); ++i) {
    hand_on(second.parameters[i]->master, first.parameters[i]->master);
  }
  const auto from = first.optimizer->state(), to = second.optimizer->state();
  REQUIRE(from.size() == to.size());
  for (size_t i = 0; i < to.size(); ++i) {
    CHECK(from[i].first == to[i].first);
    hand_on(to[i].second, from[i].second);
  }
  three->write_state(two->read_state());
  second.generator = first.generator;
  for (int i = 0; i < 2; ++i) second.step();
  CHECK(second.all() == whole.all());
  expect_nothing();
}

TEST_CASE("GPU optimizer: a captured step replays as eager ones do, bit for bit") {
  const OptimizerOptions options{.kind = Kind::adamw, .clip_norm = 1, .ema_decay = 0.9};
  const std::unique_ptr<Stream> one = fresh_stream(), two = Stream::cuda();
  Run eager(*one, options, 5), replayed(*two, options, 5);
  const auto gradients = [](Run& run, double bad) {
    for (const auto& p : run.parameters) {
      std::vector<double> g = run.draw(p->master.size());
      if (bad != 0) g[0] = bad;
      run.give(*p, g);
    }
  };
  for (Run* run : {&eager, &replayed}) {  // makes the table
    gradients(*run, 0);
    run->optimizer->step();
  }
  gradients(replayed, 0);
  const int64_t calls = two->allocator()->stats().source_calls;
  kernels::begin_capture(two->queue());
  replayed.optimizer->step();
  const kernels::Graph graph = kernels::end_capture(two->queue());
  CHECK(two->allocator()->stats().source_calls == calls);
  CHECK(kernels::graph_nodes(graph) == 2);
  for (int i = 0; i < 4; ++i) {
    if (i > 0) gradients(replayed, i == 2 ? NAN : 0);
    kernels::launch_graph(graph, two->queue());
    gradients(eager, i == 2 ? NAN : 0);
    eager.optimizer->step();
  }
  CHECK(replayed.all() == eager.all());
  const StepState a = one->read_state(), b = two->read_state();
  CHECK((a.step == 5 && a.updates == 4));
  CHECK((b.step == 5 && b.updates == 4));

  gradients(replayed, 0);
  replayed.parameters[2]->has_gradient = false;  // another set than the table's
  kernels::begin_capture(two->queue());
  CHECK_THROWS_WITH_AS(replayed.optimizer->step(),
                       doctest::Contains("must have the gradients of the step before it"), Error);
  kernels::drop_capture(two->queue());
  two->wait();
  kernels::free_graph(graph);
  expect_nothing();
}

TEST_CASE("GPU optimizer: the copies that a network computes with follow each step and each swap") {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    for (const OptimizerOptions& options : kEveryKind) {
      const std::unique_ptr<Stream> stream = fresh_stream();
      Run run(*stream, options, fresh_seed());
      const auto copies = [&](bool current) {
        bool right = true;
        Tape tape = Tape::off(*stream, dtype);
        for (const auto& p : run.parameters) {
          CHECK(p->copy().defined() == current);
          stream->wait();
          const std::vector<double> held = to_values(p->on(tape));
          right = right && held == to_values(cast(p->master, dtype));
          CHECK(p->copy().defined());
        }
        CHECK(right);
      };
      copies(false);
      for (int i = 0; i < 3; ++i) {
        run.step(i == 1 ? INFINITY : 0, i == 2 ? 4 : 99);
        copies(true);
      }
      if (options.ema_decay > 0) {
        run.optimizer->swap_in_ema();
        copies(true);
        run.optimizer->swap_out_ema();
        copies(true);
      }
      run.parameters[1]->bump();
      CHECK_FALSE(run.parameters[1]->copy().defined());
    }
  }
  expect_nothing();
}

TEST_CASE("GPU optimizer: a recorded step goes on after the set of gradients has changed") {
  const std::unique_ptr<Stream> one = fresh_stream(), two = Stream::cuda();
  Run eager(*one, {.kind = Kind::adam}, 5), replayed(*two, {.kind = Kind::adam}, 5);
  const auto again = [](Run& run, size_t without) {
    for (size_t i = 0; i < run.parameters.size(); ++i) {
      run.parameters[i]->has_gradient = i != without;
    }
  };
  for (Run* run : {&eager, &replayed}) run->step();
  again(replayed, 99);
  kernels::begin_capture(two->queue());
  replayed.optimizer->step();
  const kernels::Graph graph = kernels::end_capture(two->queue());
  for (Run* run : {&eager, &replayed}) {
    again(*run, 3);  // another table
    run->optimizer->step();
  }
  kernels::launch_graph(graph, two->queue());
  again(eager, 99);
  eager.optimizer->step();
  CHECK(replayed.all() == eager.all());
  kernels::free_graph(graph);
  expect_nothing();
}

TEST_CASE(
    "GPU optimizer: replays mark what they change, and are refused where they would be wrong") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::unique_ptr<Stream> stream = fresh_stream();
    Run run(*stream, {.kind = Kind::adamw, .ema_decay = 0.9}, seed);
    run.step();  // gradients, which stay
    const auto hand_out = [&](DType type) {
      Tape tape = Tape::off(*stream, type);
      std::vector<Tensor> copies;
      for (const auto& p : run.parameters) copies.push_back(p->on(tape));
      return copies;
    };
    CapturedWork work(*stream);
    const auto step = [&] {
      work.next([&] {
        hand_out(dtype);
        for (const auto& p : run.parameters) p->has_gradient = true;
        run.optimizer->step();
      });
    };
    const auto current = [&](DType type) {
      bool right = true;
      for (size_t i = 0; i < run.parameters.size(); ++i) {
        const Tensor copy = hand_out(type)[i];
        stream->wait();
        right = right && to_values(copy) == to_values(cast(run.parameters[i]->master, type));
      }
      return right;
    };
    for (int i = 0; i < 4; ++i) step();
    const int64_t before = stream->read_state().step;
    for (int i = 0; i < 2; ++i) {  // copies of another kind, between replays
      CHECK(current(DType::bf16));
      const uint64_t version = run.parameters[0]->version();
      step();
      CHECK(run.parameters[0]->version() == version + 1);
    }
    run.optimizer->swap_in_ema();
    CHECK(current(DType::bf16));
    run.optimizer->swap_out_ema();
    step();
    CHECK(current(DType::bf16));
    CHECK(stream->read_state().step == before + 3);

    run.parameters[3]->trainable = false;
    CHECK_THROWS_WITH_AS(step(), doctest::Contains("p3 was frozen since the step was recorded"),
                         Error);
    run.parameters[3]->trainable = true;
    step();
    run.parameters[2]->bump();  // as after loading weights
    const char* stale = "p2: its copy in bf16, which recorded work computes with, is out of date";
    if (dtype == DType::f32) {
      step();
    } else {
      CHECK_THROWS_WITH_AS(step(), doctest::Contains(stale), Error);
      hand_out(dtype);  // converts into the same memory
      step();
      hand_out(DType::f16);
      CHECK_THROWS_WITH_AS(step(), doctest::Contains("p0: its copy in bf16"), Error);
    }
    CHECK(stream->read_state().step == before + 5);  // what is refused has not run
    CHECK(current(DType::f16));
  }
  expect_nothing();
}

TEST_CASE("GPU optimizer: the table is made once, and anew when the set of gradients changes") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  Run run(*stream, {.kind = Kind::sgd, .ema_decay = 0.5}, 6);
  run.step();
  stream->wait();
  for (const auto& p : run.parameters) p->has_gradient = true;
  run.optimizer->step();
  CHECK(simt::waiting_work() == 2);  // two launches, no copy, nothing waited for
  for (const auto& p : run.parameters) p->has_gradient = p != run.parameters[3];
  const std::vector<double> still = to_values(run.parameters[3]->master);
  run.optimizer->step();
  CHECK(simt::waiting_work() == 2);  // behind the new table's copy, which was waited for
  CHECK(to_values(run.parameters[3]->master) == still);
  expect_nothing();
}

TEST_CASE("GPU optimizer: errors name what was needed and what came") {
  simt::set_device({});
  const std::unique_ptr<Stream> stream = Stream::cuda(), cpu = Stream::cpu();
  Parameter here("h", zeros(*cpu, {1})), there("t", zeros(*stream, {1}));
  const auto make = [&](Stream& on, Parameter& p) {
    return Optimizer(on, {{.name = "all", .parameters = {&p}}}, {.ema_decay = 0.5},
                     LearningRates::constant(0.1, 1));
  };
  CHECK_THROWS_WITH_AS(make(*stream, here),
                       doctest::Contains("parameter h must be on the cuda as the stream; got"),
                       Error);
  CHECK_THROWS_WITH_AS(make(*cpu, there),
                       doctest::Contains("parameter t must be on the cpu as the stream; got"),
                       Error);
  Optimizer optimizer = make(*stream, there);
  CHECK_THROWS_WITH_AS(
      optimizer.average_buffers({{"b", zeros(*stream, {1}, DType::bf16)}}),
      doctest::Contains("must be f32 on the cuda as the stream; got bf16 on the cuda"), Error);
  expect_nothing();
}
