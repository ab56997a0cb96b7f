// Every registered case's bench rows: the forward pass alone, and forward with backward, on one
// thread. GB/s counts the least bytes that the case states for the forward pass; `copy` is what the
// same machine moves in the same run, read and write counted.
//   build/bench/bench_ops --benchmark_filter='batch_norm|copy'
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>

#include "engine/ops/case.hpp"

namespace gliograd {
namespace {

void forward(benchmark::State& state, const CaseRow& row) {
  const auto stream = Stream::cpu();
  const std::vector<Tensor> inputs = case_inputs(row, *stream, DType::f32, 1);
  for (auto _ : state) {
    Tape tape = Tape::off(*stream);
    benchmark::DoNotOptimize(row.op(tape, inputs).raw());
  }
  state.SetBytesProcessed(static_cast<int64_t>(row.cost.bytes) * state.iterations());
}

void forward_backward(benchmark::State& state, const CaseRow& row) {
  const auto stream = Stream::cpu();
  const std::vector<Tensor> inputs = case_inputs(row, *stream, DType::f32, 1);
  Tensor dy;
  for (auto _ : state) {
    Tape tape(*stream);
    std::vector<Tensor> watched = inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (row.inputs[i].differentiable) watched[i] = tape.watch(inputs[i]);
    }
    const Tensor y = row.op(tape, watched);
    if (!dy.defined()) {
      dy = empty_like(y);
      for (float& v : std::span(static_cast<float*>(dy.raw()), dy.storage()->bytes() / 4)) v = 1;
    }
    tape.backward(y, dy);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (row.inputs[i].differentiable) benchmark::DoNotOptimize(tape.gradient(watched[i]).raw());
    }
  }
}

void copy(benchmark::State& state) {
  const auto stream = Stream::cpu();
  const Tensor from = zeros(*stream, {state.range(0)}), to = zeros(*stream, {state.range(0)});
  for (auto _ : state) {
    std::memcpy(to.raw(), from.raw(), from.bytes());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(2 * from.bytes() * state.iterations());
}
BENCHMARK(copy)->Arg(32 * 80 * 80 * 16)->Arg(32 * 10 * 10 * 96);

}  // namespace
}  // namespace gliograd

int main(int argc, char** argv) {
  using namespace gliograd;
  const std::vector<Case> cases = all_cases();  // must outlive the runs
  for (const Case& one : cases) {
    for (const CaseRow& row : one.rows) {
      if (!row.bench) continue;
      const std::string name = one.name + " / " + row.label;
      benchmark::RegisterBenchmark((name + " / forward").c_str(),
                                   [&row](benchmark::State& state) { forward(state, row); });
      benchmark::RegisterBenchmark(
          (name + " / forward and backward").c_str(),
          [&row](benchmark::State& state) { forward_backward(state, row); });
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
