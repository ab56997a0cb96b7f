// Network: what the training loop, transfer and checkpoints know of any architecture.
#pragma once
#include <string>
#include <vector>

#include "models/module.hpp"
#include "models/settings.hpp"

namespace gliograd::models {

/// Options that every network has; the rest of its settings is its own.
struct NetworkOptions {
  int64_t input_channels = 1;  // 1 to 64
  int64_t classes = 2;         // logits, 1 to 4096
  int64_t extra_features = 0;  // numbers joined to the pooled features in front of the head
  double dropout = 0;          // of the pooled features, in training

  /// Reads "input_channels", "classes", "extra_features", "dropout".
  static NetworkOptions read(SettingsReader& reader);
  /// The same as text.
  void write(Settings& settings) const;
};

/// Images in, logits out: features (the architecture's own), global average pool, dropout, join
/// with extra features, one linear layer called "head".
class Network {
 public:
  virtual ~Network() = default;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  const std::string& architecture() const { return architecture_; }
  /// Every option, those that were left to their defaults too: make_network(architecture(),
  /// settings()) builds the same network again.
  const Settings& settings() const { return settings_; }
  const NetworkOptions& options() const { return options_; }
  Weights& weights() { return weights_; }

  /// Prefixes of parameter names from the input to the output, without the head: what `freeze_upto`
  /// knows.
  virtual std::vector<std::string> stages() const = 0;
  /// The first layer's weight, which transfer adapts to another channel count.
  virtual std::string first_layer() const = 0;
  /// Smallest height and width that survive all strides, in pixels.
  virtual int64_t smallest_size() const = 0;

  /// x [N, H, W, image_channels(device, input_channels)] in the tape's type -> [N, h, w, F], before
  /// pooling.
  virtual Tensor maps(Tape& tape, const Tensor& x, Mode mode) = 0;
  /// Pooled: [N, F].
  Tensor features(Tape& tape, const Tensor& x, Mode mode);
  /// Logits [N, classes]. `extra` is [N, extra_features] in the tape's type, undefined when there
  /// are none. Errors: Error when a shape or a type disagrees.
  Tensor forward(Tape& tape, const Tensor& x, const Tensor& extra, Mode mode);

  /// Stops training every stage up to and including the named one ("head" is no stage).
  /// Errors: Error that lists the stages.
  void freeze_upto(const std::string& stage);

 protected:
  Network(std::string architecture, Settings settings, const NetworkOptions& options,
          Stream& stream, DType dtype);
  /// To be called last by the constructor of an architecture with F features.
  void add_head(int64_t features);

  Weights weights_;

 private:
  std::string architecture_;
  Settings settings_;
  NetworkOptions options_;
  std::vector<Dropout> dropout_;  // none or one
  std::vector<Linear> head_;      // one, once the architecture is complete
};

}  // namespace gliograd::models
