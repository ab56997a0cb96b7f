// SubtypeNet in training on a set of noise, on either device and at any size: what tests of
// training on a GPU compare. Without doctest, because tests/device builds where that is not.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/device/captured_work.hpp"
#include "engine/ops/augment_cuda.hpp"
#include "engine/ops/softmax_cross_entropy.hpp"
#include "engine/optim/batch_end.hpp"
#include "engine/optim/optimizer.hpp"
#include "engine/tensor/cast.hpp"
#include "models/subtype_net.hpp"
#include "tests/simt/toy_set.hpp"
#include "tests/support/distance.hpp"

namespace gliograd::test {

struct FoldScale {
  int64_t batch = 4, steps = 6, slices = 7;
  int32_t window = 32;
  std::string widths = "8-16-16-16";
};

inline AugmentOptions some_augmentation() {
  AugmentOptions o;
  o.flip_x_probability = o.rotation_probability = o.blur_probability = 0.5f;
  o.rotation_degrees = 20;
  o.blur_pixels = 1;
  o.brightness_probability = 0.5f, o.brightness_percent = 20;
  return o;
}

/// One network in training on `stream`: an epoch of scale.steps batches.
struct Fold {
  Stream& stream;
  DType dtype;
  const simt::Toy& toy;
  FoldScale scale;
  InputSpec input;
  AugmentOptions options = some_augmentation();
  models::SubtypeNet network;
  Optimizer optimizer;
  std::vector<int32_t> order;
  std::vector<int32_t> classes;
  // On a GPU.
  std::unique_ptr<DeviceSet> there;
  Tensor device_order, device_classes;

  Fold(Stream& on, DType compute, const simt::Toy& set, const FoldScale& size = {})
      : stream(on),
        dtype(compute),
        toy(set),
        scale(size),
        input(simt::input_of(3, MaskUse::channel, size.window, size.window)),
        network({{"input_channels", "4"}, {"classes", "2"}, {"widths", size.widths}}, on,
                compute == DType::f64 ? DType::f64 : DType::f32),
        optimizer(on, {{"all", network.weights().parameters(), 1, 0.01}},
                  {.clip_norm = 5, .ema_decay = 0.9}, LearningRates::cosine(1e-3, size.steps, 2)) {
    for (int64_t i = 0; i < scale.batch * scale.steps; ++i) {
      order.push_back(static_cast<int32_t>(i * 5 % scale.slices));
    }
    for (int64_t i = 0; i < scale.slices; ++i) classes.push_back(static_cast<int32_t>(i % 2));
    StepState state;
    state.epoch = 2;
    stream.write_state(state);
    if (stream.device() == Device::cpu) return;
    there = std::make_unique<DeviceSet>(stream, toy.set);
    device_order =
        from_values(stream, {scale.batch * scale.steps}, {order.begin(), order.end()}, DType::i32);
    device_classes =
        from_values(stream, {scale.slices}, {classes.begin(), classes.end()}, DType::i32);
  }

  /// Forward, backward, update. On a GPU the host reads nothing.
  void step() {
    Tape tape(stream, dtype);
    Tensor images, labels;
    if (stream.device() == Device::cuda) {
      images = next_images(scale.batch);
      labels = rows_next(stream, device_classes, device_order, scale.batch);
    } else {
      const int64_t first = stream.state()->draw;
      const std::vector<int32_t> slices(order.begin() + first, order.begin() + first + scale.batch);
      images =
          cast(augment(stream, toy.set, input, slices, options, *stream.state()).images, dtype);
      std::vector<double> values;
      for (const int32_t slice : slices) values.push_back(classes[static_cast<size_t>(slice)]);
      labels = from_values(stream, {scale.batch}, values, DType::i32);
    }
    const Tensor loss =
        softmax_cross_entropy(tape, network.forward(tape, images, {}, Mode::train), labels);
    tape.backward(loss);
    optimizer.step();
    end_batch(stream, loss, scale.batch);
  }

  /// On a GPU: the images of the next `count` draws.
  Tensor next_images(int64_t count) {
    return augment_next(stream, there->set(), input, device_order, options,
                        {.images = count, .dtype = dtype, .channels = 8})
        .images;
  }

  /// A step, and its loss.
  double loss_of_step() {
    const double before = stream.read_state().loss_sum;
    step();
    return (stream.read_state().loss_sum - before) / static_cast<double>(scale.batch);
  }

  /// Weights, running statistics and what the optimizer keeps, one behind the other.
  std::vector<double> all() {
    std::vector<double> values;
    const auto take = [&](const Tensor& t) {
      const std::vector<double> more = to_values(t);
      values.insert(values.end(), more.begin(), more.end());
    };
    for (Parameter* p : network.weights().parameters()) take(p->master);
    for (const models::Buffer& b : network.weights().buffers()) take(b.value);
    for (const auto& [name, t] : optimizer.state()) take(t);
    return values;
  }
  /// Errors: Error for a name that no parameter has.
  std::vector<double> gradient(const std::string& name) {
    for (Parameter* p : network.weights().parameters()) {
      if (p->name == name) return to_values(p->gradient);
    }
    throw Error("no parameter " + name);
  }
  std::vector<double> gradients() {
    std::vector<double> values;
    for (Parameter* p : network.weights().parameters()) {
      const std::vector<double> more = to_values(p->gradient);
      values.insert(values.end(), more.begin(), more.end());
    }
    return values;
  }
};

/// Two eager steps, then replays of the captured one, up to the end of the epoch.
inline void train_by_graph(Fold& fold, CapturedWork& work) {
  for (int64_t i = 0; i < fold.scale.steps; ++i) work.next([&] { fold.step(); });
}

}  // namespace gliograd::test
