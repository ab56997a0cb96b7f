// The module layer: Weights holds all parameters and buffers of one network by dotted name; layers
// are small handles into it that call one op each. A network is built by naming layers in order.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "engine/autograd/tape.hpp"
#include "engine/ops/batch_norm.hpp"
#include "engine/ops/conv.hpp"
#include "models/initialize.hpp"

namespace gliograd::models {

/// A tensor that belongs to a network and is not trained: running statistics.
struct Buffer {
  std::string name;  // "stage1.norm1.mean"
  Tensor value;      // shares the network's memory
};

/// The running statistics of one batch norm. Frozen, it uses them in training too and leaves them.
struct NormState {
  std::string name;  // "stage1.norm1"
  RunningStats stats;
  bool frozen = false;
};

class Weights {
 public:
  /// `dtype` is that of the masters: f32, or f64 in a network built for the reference. First values
  /// come from the stream's random key. The stream must outlive the network.
  explicit Weights(Stream& stream, DType dtype = DType::f32);
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  Stream& stream() const { return *stream_; }
  DType dtype() const { return dtype_; }

  /// A new parameter, filled by `init`. Errors: Error when the name is taken.
  Parameter& add(const std::string& name, const Shape& shape, Init init, bool decay,
                 const Fans& fans = {});
  /// New running statistics (mean 0, variance 1) of this many channels.
  NormState& add_norm(const std::string& name, int64_t channels);
  /// A number for the next dropout layer, so that two never drop the same elements.
  uint32_t next_dropout() { return dropouts_++; }

  /// In the order in which they were made; the same for every network of these options.
  std::vector<Parameter*> parameters();
  std::vector<Buffer> buffers();
  std::vector<NormState*> norms();
  int64_t parameter_count() const;
  /// To be called before the first backward pass of a step.
  void clear_gradients();

  /// Stops (or goes on) training all parameters at or below `prefix`: "stage1" also means
  /// "stage1.conv1.weight", never "stage10". Returns how many. Errors: Error that lists the known
  /// names when there are none.
  int64_t freeze(const std::string& prefix, bool frozen = true);
  /// The same for batch norms: statistics stay as they are, gamma and beta are not trained.
  int64_t freeze_norms(const std::string& prefix, bool frozen = true);

 private:
  Tensor initialized(const Shape& shape, Init init, const Fans& fans, uint32_t order) const;

  Stream* stream_;
  DType dtype_;
  std::deque<Parameter> parameters_;  // a deque: handles in layers stay valid
  std::deque<NormState> norms_;
  uint32_t dropouts_ = 0;
};

/// Whether `name` is `prefix` or lies below it; an empty prefix is above every name.
bool is_below(const std::string& name, const std::string& prefix);

/// Channels that an image of `used` ones has in a device's memory: on a GPU a multiple of eight,
/// the unused ones 0.
constexpr int64_t image_channels(Device device, int64_t used) {
  return device == Device::cuda ? (used + 7) / 8 * 8 : used;
}

struct ConvLayer {
  int64_t in = 0;      // channels
  int64_t out = 0;     // channels
  int64_t kernel = 3;  // both axes; padding keeps the size at stride 1
  int64_t stride = 1;  // both axes
  int64_t groups = 1;
  bool bias = false;  // no bias in front of batch norm
  Init init = Init::he_normal;
};

/// Names: weight [out, kernel, kernel, in/groups], and bias [out] where asked for.
class Conv {
 public:
  Conv(Weights& weights, const std::string& name, const ConvLayer& layer);
  Tensor operator()(Tape& tape, const Tensor& x) const;

 private:
  Parameter* weight_;
  Parameter* bias_ = nullptr;
  ConvOptions options_;
};

/// Names: gamma, beta; buffers mean, var. The activation and a residual are fused into it.
class BatchNorm {
 public:
  BatchNorm(Weights& weights, const std::string& name, int64_t channels,
            Activation activation = Activation::none, double eps = 1e-5, double momentum = 0.1);
  Tensor operator()(Tape& tape, const Tensor& x, Mode mode, const Tensor* residual = nullptr) const;

 private:
  Parameter* gamma_;
  Parameter* beta_;
  NormState* state_;
  Activation activation_;
  double eps_;
  double momentum_;
};

/// Names: weight [out, in], bias [out].
class Linear {
 public:
  Linear(Weights& weights, const std::string& name, int64_t in, int64_t out,
         Init init = Init::glorot_uniform);
  Tensor operator()(Tape& tape, const Tensor& x) const;

 private:
  Parameter* weight_;
  Parameter* bias_;
};

/// Drops with `probability` in training, passes everything in evaluation.
class Dropout {
 public:
  Dropout(Weights& weights, double probability);
  Tensor operator()(Tape& tape, const Tensor& x, Mode mode) const;

 private:
  double probability_;
  uint32_t layer_;
};

}  // namespace gliograd::models
