#include "models/module.hpp"

#include <algorithm>

#include "engine/core/error.hpp"
#include "engine/ops/dropout.hpp"
#include "engine/ops/linear.hpp"
#include "engine/ops/pad.hpp"
#include "models/refuse.hpp"

namespace gliograd::models {
namespace {

// The names just below the root, each once: what a person would freeze.
template <class Named>
std::string known_prefixes(const std::deque<Named>& all) {
  std::vector<std::string> prefixes;
  for (const Named& one : all) {
    const std::string prefix = one.name.substr(0, one.name.find('.'));
    if (std::find(prefixes.begin(), prefixes.end(), prefix) == prefixes.end()) {
      prefixes.push_back(prefix);
    }
  }
  std::string text;
  for (const std::string& prefix : prefixes) text += (text.empty() ? "" : ", ") + prefix;
  return text;
}

}  // namespace

bool is_below(const std::string& name, const std::string& prefix) {
  if (prefix.empty() || name == prefix) return true;
  return name.size() > prefix.size() && name.compare(0, prefix.size(), prefix) == 0 &&
         name[prefix.size()] == '.';
}

Weights::Weights(Stream& stream, DType dtype) : stream_(&stream), dtype_(dtype) {}

Parameter& Weights::add(const std::string& name, const Shape& shape, Init init, bool decay,
                        const Fans& fans) {
  for (const Parameter& other : parameters_) {
    GG_CHECK(other.name != name, "weights: two parameters are called ", name);
  }
  Tensor master = initialized(shape, init, fans, static_cast<uint32_t>(parameters_.size()));
  Parameter& parameter = parameters_.emplace_back(name, std::move(master));
  parameter.decay = decay;
  return parameter;
}

NormState& Weights::add_norm(const std::string& name, int64_t channels) {
  Tensor mean = zeros(*stream_, {channels}, dtype_);
  Tensor var = initialized({channels}, Init::ones, {}, 0);
  return norms_.emplace_back(NormState{name, {std::move(mean), std::move(var)}});
}

// The host draws the numbers, and takes them to a GPU where the stream is one's.
Tensor Weights::initialized(const Shape& shape, Init init, const Fans& fans, uint32_t order) const {
  const bool gpu = stream_->device() == Device::cuda;
  const std::unique_ptr<Stream> host = gpu ? Stream::cpu() : nullptr;
  Tensor weight = empty(gpu ? *host : *stream_, shape, dtype_);
  initialize(weight, init, fans, stream_->random(), order);
  return gpu ? copy_to(*stream_, weight) : weight;
}

std::vector<Parameter*> Weights::parameters() {
  std::vector<Parameter*> list;
  for (Parameter& parameter : parameters_) list.push_back(&parameter);
  return list;
}

std::vector<NormState*> Weights::norms() {
  std::vector<NormState*> list;
  for (NormState& norm : norms_) list.push_back(&norm);
  return list;
}

std::vector<Buffer> Weights::buffers() {
  std::vector<Buffer> list;
  for (const NormState& norm : norms_) {
    list.push_back({norm.name + ".mean", norm.stats.mean});
    list.push_back({norm.name + ".var", norm.stats.var});
  }
  return list;
}

int64_t Weights::parameter_count() const {
  int64_t count = 0;
  for (const Parameter& parameter : parameters_) count += parameter.master.size();
  return count;
}

void Weights::clear_gradients() {
  for (Parameter& parameter : parameters_) parameter.has_gradient = false;
}

int64_t Weights::freeze(const std::string& prefix, bool frozen) {
  int64_t count = 0;
  for (Parameter& parameter : parameters_) {
    if (!is_below(parameter.name, prefix)) continue;
    parameter.trainable = !frozen;
    ++count;
  }
  GG_REFUSE_UNLESS(count > 0, "freeze: no parameter lies below '", prefix, "'; known are ",
                   known_prefixes(parameters_));
  return count;
}

int64_t Weights::freeze_norms(const std::string& prefix, bool frozen) {
  int64_t count = 0;
  for (NormState& norm : norms_) {
    if (!is_below(norm.name, prefix)) continue;
    norm.frozen = frozen;
    freeze(norm.name, frozen);
    ++count;
  }
  GG_REFUSE_UNLESS(count > 0, "freeze: no batch norm lies below '", prefix, "'; known are ",
                   known_prefixes(norms_));
  return count;
}

Conv::Conv(Weights& weights, const std::string& name, const ConvLayer& layer) {
  GG_CHECK(layer.groups >= 1 && layer.in % layer.groups == 0 && layer.out % layer.groups == 0, name,
           ": ", layer.in, " and ", layer.out, " channels do not split into ", layer.groups,
           " groups");
  GG_CHECK(layer.kernel % 2 == 1, name, ": the kernel must be odd, so that padding is the same on ",
           "both sides; got ", layer.kernel);
  const Shape shape{layer.out, layer.kernel, layer.kernel, layer.in / layer.groups};
  weight_ = &weights.add(name + ".weight", shape, layer.init, true, fans_of(shape, layer.groups));
  if (layer.bias) bias_ = &weights.add(name + ".bias", {layer.out}, Init::zeros, false);
  options_ = {.stride = layer.stride,
              .pad = Padding::all(layer.kernel / 2),
              .dilation = 1,
              .groups = layer.groups};
}

Tensor Conv::operator()(Tape& tape, const Tensor& x) const {
  Tensor weight = weight_->on(tape);
  if (options_.groups == 1 && x.defined() && x.device() == Device::cuda &&
      x.dim(3) == image_channels(Device::cuda, weight.dim(3))) {
    weight = pad_channels(tape, weight, x.dim(3));  // the image came so
  }
  return conv(tape, x, weight, bias_ ? bias_->on(tape) : Tensor{}, options_);
}

BatchNorm::BatchNorm(Weights& weights, const std::string& name, int64_t channels,
                     Activation activation, double eps, double momentum)
    : gamma_(&weights.add(name + ".gamma", {channels}, Init::ones, false)),
      beta_(&weights.add(name + ".beta", {channels}, Init::zeros, false)),
      state_(&weights.add_norm(name, channels)),
      activation_(activation),
      eps_(eps),
      momentum_(momentum) {}

Tensor BatchNorm::operator()(Tape& tape, const Tensor& x, Mode mode, const Tensor* residual) const {
  return batch_norm(tape, x, gamma_->on_wide(tape), beta_->on_wide(tape), state_->stats,
                    {.eps = eps_,
                     .momentum = momentum_,
                     .mode = state_->frozen ? Mode::eval : mode,
                     .residual = residual,
                     .activation = activation_});
}

Linear::Linear(Weights& weights, const std::string& name, int64_t in, int64_t out, Init init)
    : weight_(&weights.add(name + ".weight", {out, in}, init, true, fans_of({out, in}))),
      bias_(&weights.add(name + ".bias", {out}, Init::zeros, false)) {}

Tensor Linear::operator()(Tape& tape, const Tensor& x) const {
  return linear(tape, x, weight_->on(tape), bias_->on(tape));
}

Dropout::Dropout(Weights& weights, double probability)
    : probability_(probability), layer_(weights.next_dropout()) {
  GG_CHECK(probability >= 0 && probability < 1, "dropout: the probability must be in [0, 1); got ",
           probability);
}

Tensor Dropout::operator()(Tape& tape, const Tensor& x, Mode mode) const {
  if (mode == Mode::eval || probability_ == 0) return x;
  return dropout(tape, x, {.probability = probability_, .layer = layer_, .mode = mode});
}

}  // namespace gliograd::models
