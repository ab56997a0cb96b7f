// What gpu_bench_ladder does with its options, on any stream of a GPU; ladder_bench.cpp is the
// program.
#pragma once
#include <iterator>
#include <ostream>

#include "apps/study/profile.hpp"
#include "bench/gpu/record.hpp"
#include "bench/ladder/ladder.hpp"

namespace gliograd::ladder {

struct Options {
  std::string only, dtype, preset;
  int64_t rows, channels, images, size;
  RunOptions run;

  explicit Options(bench::Words& words)
      : only(words.one_of("--only", "all", {"all", "batch_norm", "augment"})),
        dtype(words.one_of("--dtype", "all", {"all", "f32", "bf16", "f16"})),
        preset(words.one_of("--preset", "all", {"all", "light", "full"})),
        rows(words.integer("--rows", 128 * 112 * 112, 2, 1 << 24)),
        channels(words.integer("--channels", 64, 1, 4096)),
        images(words.integer("--images", 32, 1, 4096)),
        size(words.integer("--size", 256, 8, 512)) {
    run.runs = static_cast<int>(words.integer("--runs", run.runs, 3, 10'000));
    words.finish();
  }
  std::vector<DType> dtypes() const {
    if (dtype == "f32") return {DType::f32};
    if (dtype == "bf16") return {DType::bf16};
    if (dtype == "f16") return {DType::f16};
    return {DType::f32, DType::bf16};
  }
};

inline void add(std::vector<RungResult>& all, std::vector<RungResult> more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

inline void batch_norm(Stream& stream, const Options& o, std::vector<RungResult>& all) {
  for (const DType dtype : o.dtypes()) {
    BatchNormProblem problem(stream, o.rows, o.channels, dtype, 1);
    const bool known = o.rows == 128 * 112 * 112 && o.channels == 64 && dtype == DType::bf16;
    add(all, climb(stream, "batch_norm", dtype, problem, batch_norm_rungs(), o.run,
                   [&](const BatchNormRung& r) { return known ? r.expected_ms : 0; }));
  }
}

inline void augment(Stream& stream, const Options& o, std::vector<RungResult>& all) {
  const data::Dataset set = data::noise_set(std::min<int64_t>(64, o.images), 16, o.size);
  const data::Resident resident(set);
  const InputSpec input = data::input_spec(set, {.window = static_cast<int>(o.size)});
  for (const std::string preset : {"light", "full"}) {
    if (o.preset != "all" && o.preset != preset) continue;
    std::vector<int32_t> slices;
    std::vector<AugmentParams> params;
    for (int64_t i = 0; i < o.images; ++i) {
      slices.push_back(static_cast<int32_t>(i * 101 % set.slices_count));
      params.push_back(draw_augment(stream.random(), 1, static_cast<int32_t>(i),
                                    data::augment_preset(preset), input));
    }
    for (const DType dtype : o.dtypes()) {
      AugmentProblem problem(stream, resident.set(), input, slices, params, dtype, 8);
      const bool known = o.images == 32 && o.size == 256 && dtype == DType::bf16;
      add(all, climb(stream, ("augment " + preset).c_str(), dtype, problem, augment_rungs(), o.run,
                     [&](const AugmentRung& r) {
                       if (!known) return 0.0;
                       return preset == "full" ? r.expected_full_ms : r.expected_light_ms;
                     }));
    }
  }
}

/// A table, then a JSON object a line. Returns whether all are right.
inline bool report(const std::vector<RungResult>& all, double copy_gb_s, std::ostream& out) {
  std::vector<std::vector<std::string>> table = {{"ladder", "rung", "type", "launches", "MB", "ms",
                                                  "expected", "of copy", "times the first",
                                                  "right"}};
  std::string lines;
  bool right = true;
  double first = 0;
  for (const RungResult& r : all) {
    const double ms = bench::quantile(r.ms, 0.5), share = 1e-6 * r.floor_bytes / ms / copy_gb_s;
    const bool good = r.error <= 1;  // false for NaN
    right = right && good;
    if (table.size() == 1 || table.back()[0] != r.ladder ||
        table.back()[2] != gliograd::name_of(r.dtype)) {
      first = ms;
    }
    table.push_back({r.ladder, r.rung, gliograd::name_of(r.dtype), std::to_string(r.launches),
                     study::rounded(1e-6 * r.moved_bytes), study::rounded(ms),
                     r.expected_ms > 0 ? study::rounded(r.expected_ms) : "",
                     study::rounded(100 * share) + " %", study::rounded(first / ms),
                     good ? "yes" : "NO"});
    lines += bench::Record()
                 .add("ladder", r.ladder)
                 .add("rung", r.rung)
                 .add("dtype", std::string(gliograd::name_of(r.dtype)))
                 .add("shape", r.shape)
                 .add("launches", r.launches)
                 .add("moved_bytes", r.moved_bytes)
                 .add("floor_bytes", r.floor_bytes)
                 .add("runs", static_cast<int64_t>(r.ms.size()))
                 .add("ms", ms)
                 .add("ms_low", bench::quantile(r.ms, 0.25))
                 .add("ms_high", bench::quantile(r.ms, 0.75))
                 .add("expected_ms", r.expected_ms > 0 ? r.expected_ms : NAN)
                 .add("copy_gb_s", copy_gb_s)
                 .add("copy_share", share)
                 .add("error", r.error)
                 .add("right", good)
                 .text() +
             '\n';
  }
  out << study::aligned(table, 3) << '\n' << lines;
  return right;
}

/// Climbs what the options name. Errors: Error for wrong options. Returns whether all are right.
inline bool run_ladders(Stream& stream, const Options& options, double copy_gb_s,
                        std::ostream& out) {
  std::vector<RungResult> all;
  if (options.only != "augment") batch_norm(stream, options, all);
  if (options.only != "batch_norm") augment(stream, options, all);
  return report(all, copy_gb_s, out);
}

}  // namespace gliograd::ladder
