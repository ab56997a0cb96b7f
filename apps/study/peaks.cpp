#include "apps/study/peaks.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "engine/core/parallel.hpp"
#include "engine/device/launch_log.hpp"
#include "engine/ops/conv.hpp"
#include "engine/ops/linear.hpp"
#include "engine/tensor/cast.hpp"

namespace gliograd::study {
namespace {

using kernels::RecordedLaunch;
using Clock = std::chrono::steady_clock;

// The least ms of several runs, after one that is not counted.
double best_ms(Stream& stream, const std::function<void()>& work) {
  constexpr int kRuns = 7;
  double best = INFINITY;
  for (int i = 0; i <= kRuns; ++i) {
    double ms = 0;
    if (stream.device() == Device::cuda) {
      LaunchLog log(stream);
      work();
      for (const RecordedLaunch& launch : log.take()) ms += launch.ms;
    } else {
      const Clock::time_point begin = Clock::now();
      work();
      ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    }
    if (i > 0) best = std::min(best, ms);
  }
  return best;
}

}  // namespace

double measure_product(Stream& stream, DType dtype) {
  const bool gpu = stream.device() == Device::cuda;
  const int64_t rows = gpu ? 16384 : 4096, width = gpu ? 1024 : 384;
  std::mt19937 random(1);
  const auto make = [&](const Shape& shape) {  // zeros would draw less power, and run faster
    std::vector<double> values(static_cast<size_t>(shape.size()));
    for (double& v : values) v = 1e-9 * random() - 2;
    return from_values(stream, shape, values, dtype);
  };
  const Tensor x = make({rows, width}), w = make({width, width});
  const Tensor image = x.reshaped({rows / 1024, 32, 32, width});
  const Tensor kernel = w.reshaped({width, 1, 1, width});
  Tape tape = Tape::off(stream, dtype);
  const double ms = std::min(best_ms(stream, [&] { conv(tape, image, kernel, {}, {}); }),
                             best_ms(stream, [&] { linear(tape, x, w, {}); }));
  return 2e-6 * static_cast<double>(rows * width * width) / ms;
}

// Beyond the caches of either device.
double measure_copy(Stream& stream) {
  const bool gpu = stream.device() == Device::cuda;
  const Tensor from = zeros(stream, {int64_t{gpu ? 64 : 32} << 20});
  Tensor to = zeros(stream, from.shape);
  const double ms = best_ms(stream, [&] {
    if (gpu) return copy_into(to, from);
    parallel_for(stream.threads(), from.size(), 1 << 16, [&](int64_t begin, int64_t end) {
      std::memcpy(to.data<float>() + begin, from.data<float>() + begin,
                  static_cast<size_t>(end - begin) * sizeof(float));
    });
  });
  return 2e-6 * static_cast<double>(from.bytes()) / ms;
}

void tell_peak(Progress& progress, const TrainSettings& settings, int threads, int64_t images) {
  constexpr int64_t kEnough = 20'000;
  if (!progress.enabled() || images < kEnough || settings.dtype == "f64") return;
  const StreamOptions on{.threads = threads, .tf32 = settings.dtype == "tf32"};
  const std::unique_ptr<Stream> stream =
      settings.device == "cuda" ? Stream::cuda(0, on) : Stream::cpu(on);
  progress.set_peak(1e9 * measure_product(*stream, settings.compute_type()));
}

}  // namespace gliograd::study
