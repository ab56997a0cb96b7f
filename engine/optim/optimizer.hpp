// Optimizers: SGD, Adam and AdamW by PyTorch's formulas, with clipping by the global norm and an
// exponential moving average of the weights. A step reads each gradient once for its norm, then
// passes once over each parameter: clip, decay, update and average together. On a GPU that is three
// launches over all parameters (kernels/optimizer.hpp), and the host decides nothing.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/autograd/parameter.hpp"
#include "engine/device/stream.hpp"
#include "engine/optim/learning_rates.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

namespace optim {
class DeviceSteps;
}

/// Parameters that share settings: transferred ones may learn more slowly than a new head.
struct ParameterGroup {
  std::string name;
  std::vector<Parameter*> parameters = {};
  double lr_scale = 1;      // times the rate of the step
  double weight_decay = 0;  // for parameters whose `decay` is set; the others get none
};

struct OptimizerOptions {
  enum class Kind : uint8_t { sgd, adam, adamw };
  Kind kind = Kind::adamw;
  double momentum = 0.9;  // sgd
  bool nesterov = false;  // sgd
  double beta1 = 0.9;     // adam, adamw
  double beta2 = 0.999;
  double eps = 1e-8;
  double clip_norm = 0;  // largest norm of all gradients together; 0: no clipping
  double ema_decay = 0;  // share of the old average in the new one; 0: no average
  /// Updates in a row after which the loss scale doubles; it is halved where gradients overflow. 0:
  /// it stays as it is.
  int32_t scale_interval = 0;
};

/// One step, for a gradient g (unscaled, clipped), a rate lr and decay d, t updates so far and
/// this:
///   sgd    g += d w; b = momentum b + g; w -= lr (nesterov ? g + momentum b : b).
///   adam   g += d w; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
///          w -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps).
///   adamw  w -= lr d w, then as adam without d.
///   clip   g *= min(1, clip_norm / (norm + 1e-6)).
///   ema    e = w after the first update, then e = ema_decay e + (1 - ema_decay) w.
/// Sources  Sutskever et al. 2013 (momentum, as PyTorch writes it); Kingma & Ba 2015,
///          arXiv:1412.6980; Loshchilov & Hutter 2019, arXiv:1711.05101; Pascanu et al. 2013,
///          arXiv:1211.5063 (clipping).
class Optimizer {
 public:
  using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

  /// Errors: Error when an option is out of range, a group has no parameter, a name occurs twice,
  /// a scale or decay is negative, or a master is not in memory of the stream's device.
  Optimizer(Stream& stream, std::vector<ParameterGroup> groups, const OptimizerOptions& options,
            LearningRates rates);
  ~Optimizer();
  Optimizer(Optimizer&&) noexcept;
  Optimizer& operator=(Optimizer&&) noexcept;

  /// Updates every trainable parameter that has a gradient, marks it changed (bump) and its
  /// gradient used, and advances the stream's StepState: `step` always; `updates` when the update
  /// was applied. Gradients are divided by StepState::loss_scale first. Where any of them is not
  /// finite nothing changes and StepState::skip is 1, else 0. Errors: Error beyond the last
  /// learning rate, or while the averages are swapped in.
  /// On a GPU all this is queued, and may be captured once a step with the same gradients has run;
  /// a replay of CapturedWork marks the parameters as a step does, and is refused where one was
  /// frozen or made trainable since.
  /// The host does not know whether the update is applied, and marks parameters changed either way;
  /// a step beyond the last learning rate changes nothing, and gradient_norm() says so.
  void step();

  /// Norm of all gradients of the last step, unscaled and before clipping. NaN before the first. On
  /// a GPU the host waits for that step here. Errors: Error there when it was beyond the last
  /// learning rate.
  double gradient_norm() const;
  const LearningRates& rates() const { return rates_; }

  /// Besides the weights, average these (running statistics of batch norm), in place of leaving
  /// those of the raw weights beside averaged ones. f32 or f64 (on a GPU f32); before the first
  /// step.
  void average_buffers(const NamedTensors& buffers);

  /// All that a resumed run needs besides masters, buffers and StepState, to be read and written in
  /// place: momentum.NAME; first.NAME and second.NAME; ema.NAME.
  NamedTensors state() const;

  /// Exchanges weights (and averaged buffers) with their averages, and back, for evaluation.
  /// Errors: Error when ema_decay is 0, or when called twice in a row.
  void swap_in_ema();
  void swap_out_ema();

 private:
  struct Slot {  // what is kept for one parameter, or for one averaged buffer
    std::string name;
    Parameter* parameter;  // null: a buffer
    Tensor buffer;
    size_t group;
    Tensor first;   // momentum, or Adam's m
    Tensor second;  // Adam's v
    Tensor ema;
    const Tensor& value() const { return parameter != nullptr ? parameter->master : buffer; }
  };

  double measure_norm() const;
  void step_on_device();
  void swap_ema(bool in);

  Stream* stream_;
  std::vector<ParameterGroup> groups_;
  OptimizerOptions options_;
  LearningRates rates_;
  std::vector<Slot> slots_;
  double norm_;
  bool swapped_ = false;
  std::unique_ptr<optim::DeviceSteps> device_;  // on a GPU
};

}  // namespace gliograd
