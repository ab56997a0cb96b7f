// Each pass of a convolution by each algorithm of the CPU, one thread, f32:
//   build/bench/bench_conv --benchmark_repetitions=5
// Rows are conv/<shape>/<pass>/<algorithm>; "own" is the project's product kernel on NHWC images,
// the others are oneDNN's: "direct" on NHWC, "blocked" and "winograd" on blocked images. GFLOP/s
// counts the operations of the direct sum in every row, over CPU time.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "engine/ops/conv_paths.hpp"
#include "engine/tensor/layout.hpp"

namespace {

using namespace gliograd;
using namespace gliograd::conv_paths;

struct Shape2d {
  const char* name;
  Shape x, weight;
  ConvOptions options;
};

const std::vector<Shape2d>& shapes() {
  static const std::vector<Shape2d> list = {
      {"subtype-1", {32, 80, 80, 4}, {16, 3, 3, 4}, {.pad = Padding::all(1)}},
      {"subtype-2", {32, 40, 40, 16}, {32, 3, 3, 16}, {.pad = Padding::all(1)}},
      {"subtype-3", {32, 20, 20, 32}, {64, 3, 3, 32}, {.pad = Padding::all(1)}},
      {"subtype-4", {32, 10, 10, 64}, {96, 3, 3, 64}, {.pad = Padding::all(1)}},
      {"large-stem", {8, 128, 128, 4}, {32, 3, 3, 4}, {.pad = Padding::all(1)}},
      {"large-1", {8, 128, 128, 32}, {32, 3, 3, 32}, {.pad = Padding::all(1)}},
      {"large-2", {8, 64, 64, 64}, {64, 3, 3, 64}, {.pad = Padding::all(1)}},
      {"large-3", {8, 32, 32, 128}, {128, 3, 3, 128}, {.pad = Padding::all(1)}},
      {"large-4", {8, 16, 16, 256}, {256, 3, 3, 256}, {.pad = Padding::all(1)}},
      {"resnet-stem", {8, 128, 128, 4}, {64, 7, 7, 4}, {.stride = 2, .pad = Padding::all(3)}},
      {"resnet-down", {8, 32, 32, 64}, {128, 3, 3, 64}, {.stride = 2, .pad = Padding::all(1)}},
      {"resnet-1x1", {8, 16, 16, 256}, {64, 1, 1, 256}, {}},
      {"depthwise", {8, 32, 32, 96}, {96, 3, 3, 1}, {.pad = Padding::all(1), .groups = 96}},
  };
  return list;
}

Tensor random_tensor(Stream& stream, const Shape& shape) {
  std::mt19937_64 generator(1);
  std::vector<double> values(shape.size());
  for (double& v : values) v = static_cast<double>(generator() >> 11) * 0x1p-53 - 0.5;
  return from_values(stream, shape, values);
}

void run(benchmark::State& state, const Shape2d& shape, Pass pass, Algorithm algorithm) {
  const auto stream = Stream::cpu();
  const Tensor x = random_tensor(*stream, shape.x), weight = random_tensor(*stream, shape.weight);
  const Geometry g = geometry_of(x, weight, {}, shape.options);
  const Tensor dy = random_tensor(*stream, {g.n, g.ho, g.wo, g.co});
  if (algorithm != Algorithm::own) {
    const std::string found = onednn_implementation(*stream, g, DType::f32, algorithm, pass);
    if (algorithm != Algorithm::direct && (g.ci % 16 != 0 || g.groups != 1)) {
      return state.SkipWithError("not served");
    }
    if (found.empty() || found.rfind("ref", 0) == 0) return state.SkipWithError("not served");
    state.SetLabel(found);
  }
  // Images in the algorithm's layout, as in a chain of layers.
  const Tensor in = to_layout(x, layout_of(algorithm)), d = to_layout(dy, layout_of(algorithm));
  Tensor y = empty_like(d), dx = empty_like(in), dw = empty_like(weight);
  const auto pass_once = [&] {
    switch (pass) {
      case Pass::forward: return forward_cpu(*stream, algorithm, g, in, weight, {}, y);
      case Pass::data: return backward_data_cpu(*stream, algorithm, g, d, weight, dx);
      case Pass::weights: return backward_weights_cpu(*stream, algorithm, g, d, in, dw);
    }
  };
  pass_once();  // makes the primitive and its memory
  for (auto _ : state) {
    pass_once();
    benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] =
      benchmark::Counter(g.ops() * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

const bool kRegistered = [] {
  const char* passes[] = {"forward", "data", "weights"};
  const char* algorithms[] = {"own", "direct", "blocked", "winograd"};
  for (const Shape2d& shape : shapes()) {
    for (int pass = 0; pass < 3; ++pass) {
      for (int algorithm = 0; algorithm < 4; ++algorithm) {
        const std::string name =
            std::string("conv/") + shape.name + '/' + passes[pass] + '/' + algorithms[algorithm];
        benchmark::RegisterBenchmark(name.c_str(), run, shape, static_cast<Pass>(pass),
                                     static_cast<Algorithm>(algorithm))
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
  return true;
}();

}  // namespace
