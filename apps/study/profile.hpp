// Profile: one training step op by op, forward and backward, against what this machine reached in
// the same run.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/shape.hpp"
#include "engine/device/launch_log.hpp"

namespace gliograd::study {

struct ProfileOptions {
  std::string model = "subtype";
  int size = 80;   // pixels, both axes
  int batch = 32;  // images a step
  std::string dtype = "f32";
  std::string preset = "light";  // augmentation
  Device device = Device::cpu;
  int threads = 1;
  int steps = 30;     // measured
  int warmup = 5;     // before them
  bool peaks = true;  // measure what the machine reaches
};

/// Over the measured steps.
struct Timing {
  double median = 0, low = 0, high = 0;  // quartiles
};

/// One launch of an op on a GPU.
struct ProfiledLaunch {
  std::string name;
  std::string shape;  // "1024 blocks of 256"
  kernels::Cost cost;
  kernels::KernelFacts facts;  // zeros where it is no kernel of this project
  Timing ms;
};

/// One op in one direction; or what stands between ops.
struct ProfileRow {
  std::string pass;   // input, forward, backward, update
  std::string op;     // "batch_norm"
  std::string layer;  // whose parameters: "stage1.norm1"
  std::string shape;  // of its result in the forward pass: "32x80x80x16"
  /// CPU: inputs read once and results written once, operations of the formula. GPU: the least of
  /// its launches, together.
  kernels::Cost cost;
  Timing ms;
  std::string by;           // whose code: "own", "oneDNN ...", or the kernels of a GPU
  int64_t saved_bytes = 0;  // kept for the backward pass
  std::vector<ProfiledLaunch> launches;
};

/// What is shown on a line of time.
struct TraceEvent {
  std::string name;
  std::string within;  // the op or range that it belongs to
  bool on_gpu = false;
  double begin_ms = 0, ms = 0;
  kernels::Cost cost;
};

struct Profile {
  ProfileOptions options;
  std::string machine;         // processor or GPU
  std::string libraries;       // "oneDNN 3.1.0"
  double copy_gb_s = 0;        // read and written, the best of several; 0: not measured
  double product_gflop_s = 0;  // of a product or a 1x1 convolution in this type, likewise
  std::vector<ProfileRow> rows;
  Timing step_ms;                  // on a GPU from the first launch's begin to the last one's end
  std::optional<Timing> graph_ms;  // GPU: the same step as one captured graph
  int64_t launches = 0;            // GPU: of a step
  // GPU: of step_ms, when nothing ran between two launches; the events around each are part of it.
  Timing idle_ms;
  std::map<std::string, int64_t> fallbacks;  // GPU: what no vendor's plan served; in all steps
  int64_t peak_bytes = 0;
  double conversions = 0, conversion_bytes = 0;  // of layouts, a step
  std::vector<TraceEvent> trace;                 // of the last step

  /// Of what the peaks allow: whichever of bytes and operations takes the longer at its peak, over
  /// the time taken; 0 where peaks or costs are unknown.
  double peak_share(const kernels::Cost& cost, double ms) const;
  /// Whether it is the operations.
  bool computes(const kernels::Cost& cost) const;
};

/// Trains a few steps on noise. Errors: Error for options out of range, a type that the device does
/// not compute in, or a window too small for the network; WorkError where the loss is not finite.
Profile profile_step(const ProfileOptions& options);

/// As a table in plain text, for a terminal.
std::string profile_table(const Profile& profile);

/// For what else is printed: median and quartiles, and a grid with its blocks.
Timing timing_of(const std::vector<double>& values);
std::string shape_of(const kernels::RecordedLaunch& launch);
std::string text_of(const Shape& shape);

/// Columns as wide as what stands in them: `left` of words in front, then numbers, and a last one
/// as it comes. The first row holds the names.
std::string aligned(const std::vector<std::vector<std::string>>& rows, size_t left);
/// Three digits that mean something.
std::string rounded(double value);

}  // namespace gliograd::study
