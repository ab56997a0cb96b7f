// The augmentation alone: from a set of bytes on the GPU to a standardized batch there, each image
// by draws of its own.
//
//   setup --size 256 --batch 32 --preset light --dtype bf16   makes the set, checks a batch
//   round N                                                   times N batches, recorded as a graph
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps/study/peaks.hpp"
#include "bench/gpu/engine.hpp"
#include "bench/gpu/meter.hpp"
#include "bench/gpu/training.hpp"

namespace gliograd::bench {

class AugmentEngine final : public Engine {
 public:
  AugmentEngine()
      : Engine({{"setup", [this](const auto& words) { return setup(words); }},
                {"round", [this](const auto& words) { return round(words); }}}) {}

 private:
  // The network's input as it is made here: three sequences, in as many channels as a convolution
  // wants.
  struct Batch {
    Batch(int64_t count, int64_t size, DType type, const std::string& preset, int64_t slices)
        : batch(count),
          dtype(type),
          source(slices, size),
          stream(Stream::cuda(0, {.random = {.seed = 1}})),
          set(*stream, source.resident()),
          input(data::input_spec(source.set(), {.mask = "none", .window = static_cast<int>(size)})),
          options(data::augment_preset(preset)),
          work(*stream) {
      std::vector<double> slice;
      for (int64_t i = 0; i < batch; ++i) slice.push_back(static_cast<double>(i * 101 % slices));
      order = from_values(*stream, {batch}, slice, DType::i32);
      stream->write_state({});
    }
    Tensor images() const {
      return augment_next(*stream, set.set(), input, order, options,
                          {.images = batch,
                           .dtype = dtype,
                           .channels = models::image_channels(Device::cuda, input.channels())})
          .images;
    }

    int64_t batch;
    DType dtype;
    NoiseSource source;
    std::unique_ptr<Stream> stream;
    DeviceSet set;
    InputSpec input;
    AugmentOptions options;
    Tensor order;
    CapturedWork work;
  };

  std::string setup(const std::vector<std::string>& given) {
    Words words(given);
    const int64_t size = words.integer("--size", 256, 16, 1024);
    const int64_t batch = words.integer("--batch", 32, 1, 1 << 20);
    const std::string preset = words.one_of("--preset", "light", data::augment_presets());
    const std::string type = words.one_of("--dtype", "bf16", {"f32", "bf16", "f16"});
    const int64_t slices = words.integer("--slices", 256, 1, 100'000);
    const bool measured = words.one_of("--copy", "yes", {"yes", "no"}) == "yes";
    words.finish();
    batch_.reset();
    const DType dtype = type == "bf16" ? DType::bf16 : type == "f16" ? DType::f16 : DType::f32;
    batch_ = std::make_unique<Batch>(batch, size, dtype, preset, slices);
    check();
    for (int i = 0; i < 4; ++i) step();
    check();
    // Each pixel's bytes in, its values out.
    const Tensor& x = last_;
    const double bytes =
        3.0 * static_cast<double>(batch * size * size) + static_cast<double>(x.bytes());
    const double copy = measured ? study::measure_copy(*batch_->stream) : NAN;
    return Record()
        .add("engine", "gliograd")
        .add("device", kernels::device_facts(0).name)
        .add("channels", x.dim(3))
        .add("floor_bytes", bytes)
        .add("copy_gb_s", copy)
        .add("floor_ms", 1e-6 * bytes / copy)
        .text();
  }

  std::string round(const std::vector<std::string>& given) {
    if (!batch_) throw Error("round: setup comes first");
    const std::string count = given.empty() ? "50" : given[0];
    const int64_t n = Words({"--batches", count}).integer("--batches", 50, 1, 100'000);
    Stopwatch watch(*batch_->stream);
    const Reading before = meter_.read();
    const double ms = watch.ms([&] {
      for (int64_t i = 0; i < n; ++i) step();
    }) / static_cast<double>(n);
    const Reading after = meter_.read();
    check();
    const auto images = static_cast<double>(batch_->batch);
    return Record()
        .add("batches", n)
        .add("ms", ms)
        .add("images_per_second", 1e3 * images / ms)
        .add("joules_per_image", after.joules_since(before) / (images * static_cast<double>(n)))
        .add("gpu", after.record())
        .text();
  }

  void step() {
    batch_->work.next([this] { last_ = batch_->images(); });
  }
  // The images of the newest batch; of an eager one before the first.
  void check() {
    const std::vector<double> v = to_values(last_.defined() ? last_ : batch_->images());
    double sum = 0, squares = 0;
    for (const double one : v) sum += one, squares += one * one;
    const auto n = static_cast<double>(v.size());
    const double variance = squares / n - sum / n * (sum / n);
    if (!(variance > 0.01))
      throw WorkError(concat_text("images of a batch have variance ", variance));
  }

  Meter meter_;
  Tensor last_;  // in the recorded work's memory
  std::unique_ptr<Batch> batch_;
};

}  // namespace gliograd::bench
