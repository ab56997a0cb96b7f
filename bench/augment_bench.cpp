// Augmentation on one core: time of one image by preset, and of each transform of the full preset
// alone and certain. Sizes: 80 cut from 128 (the default input) and 128 from 128.
//   bench_augment --benchmark_min_time=0.5
// Floor of `off`: bytes in and floats out at copy speed, about 0.02 ms at 128.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "data/augment_policy.hpp"
#include "engine/ops/sample.hpp"

namespace {

using namespace gliograd;

constexpr int kSlices = 32, kStored = 128;

data::Dataset bench_set() {
  data::Dataset set;
  set.name = "bench";
  set.slices_count = kSlices;
  set.height = set.width = kStored;
  set.channels = {"pre", "flair", "post"};
  set.patients.resize(1);
  set.patients[0].id = "P";
  set.patients[0].present = {1, 1, 1};
  set.patients[0].affine = {{0.02f, -1.6f}, {0.03f, -2.4f}, {0.02f, -1.8f}};
  for (int n = 0; n < kSlices; ++n) {
    set.slices.push_back({.patient = 0, .number = n, .area = 1});
  }
  const int64_t pixels = int64_t{kSlices} * kStored * kStored;
  for (int64_t i = 0; i < pixels * 3; ++i) {
    set.images.push_back(static_cast<uint8_t>((i * 2654435761u) >> 24));
  }
  for (int64_t i = 0; i < pixels; ++i) set.masks.push_back((i / 40) % 2 != 0);
  return set;
}

void run(benchmark::State& state, const AugmentOptions& options, int window) {
  static const data::Dataset set = bench_set();
  static const data::Resident resident(set);
  const auto stream = Stream::cpu();
  const InputSpec input = data::input_spec(set, {.window = window});
  std::vector<int32_t> slices;
  for (int n = 0; n < kSlices; ++n) slices.push_back(n);
  StepState at;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        augment(*stream, resident.set(), input, slices, options, at).images.raw());
    ++at.epoch;
  }
  state.SetItemsProcessed(state.iterations() * kSlices);
  state.counters["ms/image"] =
      benchmark::Counter(1e-3 * kSlices * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// The strengths of `full`, one transform at a time, always.
void register_single(const std::string& name, const char* probability) {
  AugmentOptions options;
  const AugmentOptions full = data::augment_preset("full");
  for (const AugmentField& field : data::policy_fields()) {
    const std::string field_name = field.name;
    if (field_name.find("probability") == std::string::npos) {
      options.*field.member = full.*field.member;
    } else if (field_name == probability) {
      options.*field.member = 1;
    }
  }
  benchmark::RegisterBenchmark(("only_" + name + "/128").c_str(),
                               [options](benchmark::State& s) { run(s, options, 128); });
}

const bool kRegistered = [] {
  for (const std::string& preset : data::augment_presets()) {
    for (const int window : {80, 128}) {
      benchmark::RegisterBenchmark(
          (preset + "/" + std::to_string(window)).c_str(),
          [preset, window](benchmark::State& s) { run(s, data::augment_preset(preset), window); });
    }
  }
  const std::string suffix = "-probability";
  for (const AugmentField& field : data::policy_fields()) {
    const std::string name = field.name;
    if (name.size() > suffix.size() && name.ends_with(suffix)) {
      register_single(name.substr(0, name.size() - suffix.size()), field.name);
    }
  }
  return true;
}();

}  // namespace
