// Optimizers: what is kept, the step, the averages. The loops over a parameter stand in update.cpp,
// a step on a GPU in optimizer_cuda.cpp.
#include "engine/optim/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/autograd/op_range.hpp"
#include "engine/core/parallel.hpp"
#include "engine/ops/path.hpp"
#include "engine/optim/optimizer_cuda.hpp"
#include "engine/optim/update.hpp"
#include "engine/tensor/cast.hpp"

namespace gliograd {
namespace {

using Kind = OptimizerOptions::Kind;

constexpr int64_t kGrain = 1 << 15;  // values of one partial sum, and worth a thread of their own

void check_options(const OptimizerOptions& o) {
  const auto share = [](const char* name, double v) {
    GG_CHECK(v >= 0 && v < 1, "optimizer: ", name, " must be at least 0 and below 1; got ", v);
  };
  share("momentum", o.momentum);
  share("beta1", o.beta1);
  share("beta2", o.beta2);
  share("ema_decay", o.ema_decay);
  GG_CHECK(o.eps > 0, "optimizer: eps must be positive; got ", o.eps);
  GG_CHECK(o.clip_norm >= 0, "optimizer: clip_norm must not be negative; got ", o.clip_norm);
  GG_CHECK(o.kind != Kind::sgd || !o.nesterov || o.momentum > 0,
           "optimizer: nesterov needs a momentum; got 0");
  GG_CHECK(o.scale_interval >= 0, "optimizer: scale_interval must not be negative; got ",
           o.scale_interval);
}

kernels::UpdateSettings update_settings(const OptimizerOptions& o) {
  return {.rule = optim::rule_of(o.kind, o.momentum, o.nesterov),
          .momentum = o.momentum,
          .beta1 = o.beta1,
          .beta2 = o.beta2,
          .eps = o.eps,
          .clip_norm = o.clip_norm,
          .ema_decay = o.ema_decay,
          .scale_interval = o.scale_interval};
}

template <class T>
T* pointer(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

float* floats(const Tensor& t) { return t.defined() ? static_cast<float*>(t.raw()) : nullptr; }

template <class T>
optim::StepPointers<T> moved(const optim::StepPointers<T>& p, int64_t by) {
  const auto move = [by](auto* q) { return q == nullptr ? q : q + by; };
  return {p.w + by, p.g + by, move(p.first), move(p.second), move(p.ema)};
}

}  // namespace

Optimizer::Optimizer(Stream& stream, std::vector<ParameterGroup> groups,
                     const OptimizerOptions& options, LearningRates rates)
    : stream_(&stream),
      groups_(std::move(groups)),
      options_(options),
      rates_(std::move(rates)),
      norm_(NAN) {
  check_options(options);
  GG_CHECK(!groups_.empty(), "optimizer: needs at least one group of parameters");
  std::set<std::string> names;
  for (size_t i = 0; i < groups_.size(); ++i) {
    const ParameterGroup& group = groups_[i];
    GG_CHECK(!group.parameters.empty(), "optimizer: group ", group.name, " has no parameter");
    GG_CHECK(group.lr_scale >= 0 && group.weight_decay >= 0, "optimizer: group ", group.name,
             ": lr_scale and weight_decay must not be negative; got ", group.lr_scale, " and ",
             group.weight_decay);
    for (Parameter* parameter : group.parameters) {
      GG_CHECK(names.insert(parameter->name).second, "optimizer: parameter ", parameter->name,
               " is given twice");
      GG_CHECK(parameter->master.device() == stream.device(), "optimizer: parameter ",
               parameter->name, " must be on the ", stream.device(), " as the stream; got the ",
               parameter->master.device());
      GG_CHECK(parameter->master.device() == Device::cpu || parameter->master.dtype == DType::f32,
               "optimizer: parameter ", parameter->name, " must be f32 on a GPU; got ",
               parameter->master.dtype);
      Slot slot{parameter->name, parameter, {}, i, {}, {}, {}};
      const Tensor& w = parameter->master;
      if (options.kind != Kind::sgd || options.momentum > 0) slot.first = zeros_like(w);
      if (options.kind != Kind::sgd) slot.second = zeros_like(w);
      if (options.ema_decay > 0) {
        slot.ema = empty_like(w);
        copy_into(slot.ema, w);
      }
      slots_.push_back(std::move(slot));
    }
  }
  if (stream.device() == Device::cuda) {
    device_ = std::make_unique<optim::DeviceSteps>(stream, update_settings(options), rates_);
  }
}

Optimizer::~Optimizer() = default;
Optimizer::Optimizer(Optimizer&&) noexcept = default;
Optimizer& Optimizer::operator=(Optimizer&&) noexcept = default;

void Optimizer::average_buffers(const NamedTensors& buffers) {
  if (options_.ema_decay == 0) return;
  for (const auto& [name, buffer] : buffers) {
    const auto same = [&name = name](const Slot& slot) { return slot.name == name; };
    GG_CHECK(std::none_of(slots_.begin(), slots_.end(), same), "optimizer: ", name,
             " is given twice");
    const bool gpu = stream_->device() == Device::cuda;
    GG_CHECK(buffer.defined() && buffer.device() == stream_->device() &&
                 (buffer.dtype == DType::f32 || (!gpu && buffer.dtype == DType::f64)),
             "optimizer: average_buffers: ", name, " must be ", gpu ? "f32" : "f32 or f64",
             " on the ", stream_->device(), " as the stream; got ",
             buffer.defined() ? concat_text(buffer.dtype, " on the ", buffer.device()) : "none");
    Slot slot{name, nullptr, buffer, 0, {}, {}, empty_like(buffer)};
    copy_into(slot.ema, buffer);
    slots_.push_back(std::move(slot));
  }
}

// In f64, in pieces of fixed size joined in order: the same for any number of threads.
double Optimizer::measure_norm() const {
  double total = 0;
  for (const Slot& slot : slots_) {
    if (slot.parameter == nullptr || !slot.parameter->trainable || !slot.parameter->has_gradient) {
      continue;
    }
    const Tensor& g = slot.parameter->gradient;
    const int64_t n = g.size(), pieces = (n + kGrain - 1) / kGrain;
    const Tensor sums = empty_like(g, {pieces}, DType::f64);
    parallel_for(stream_->threads(), pieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t count = std::min(kGrain, n - i * kGrain);
        sums.at<double>(i) = g.dtype == DType::f64
                                 ? optim::square_sum(g.data<double>() + i * kGrain, count)
                                 : optim::square_sum(g.data<float>() + i * kGrain, count);
      }
    });
    for (int64_t i = 0; i < pieces; ++i) total += sums.at<double>(i);
  }
  return std::sqrt(total);
}

double Optimizer::gradient_norm() const {
  return device_ != nullptr ? device_->gradient_norm(*stream_) : norm_;
}

namespace {

// What is queued changes the parameter, and its copy where it has a current one.
void take_copy(kernels::UpdateSlot& slot, Parameter& parameter) {
  const Tensor copy = parameter.copy();
  if (!copy.defined()) return parameter.bump();
  slot.copy = copy.raw();
  slot.copy_type = copy.dtype;
  parameter.bump_with_copy();
}

// What a step did to a parameter when it was recorded, and does in each replay.
struct RecordedUpdate {
  Parameter* parameter;
  bool trainable, moves;
  Tensor copy;  // changes with it; undefined: none

  void check() const {
    GG_CHECK(parameter->trainable == trainable, "optimizer: ", parameter->name, " was ",
             trainable ? "frozen" : "made trainable",
             " since the step was recorded; record it anew");
  }
  void mark() const {
    parameter->has_gradient = false;
    if (!moves) return;
    if (copy.defined() && parameter->copy().storage() == copy.storage()) {
      parameter->bump_with_copy();
    } else {
      parameter->bump();
    }
  }
};

}  // namespace

// Slots that a step leaves alone are not named to the device.
void Optimizer::step_on_device() {
  std::vector<kernels::UpdateSlot> moving;
  std::vector<RecordedUpdate> updates;
  for (const Slot& slot : slots_) {
    Parameter* parameter = slot.parameter;
    const bool fresh = parameter != nullptr && parameter->trainable && parameter->has_gradient;
    if (parameter != nullptr) {
      parameter->has_gradient = false;
      updates.push_back(
          {parameter, parameter->trainable, fresh, fresh ? parameter->copy() : Tensor{}});
    }
    if (!fresh && !slot.ema.defined()) continue;
    kernels::UpdateSlot to{
        .w = floats(slot.value()), .ema = floats(slot.ema), .count = slot.value().size()};
    if (fresh) {
      const ParameterGroup& group = groups_[slot.group];
      to.g = floats(parameter->gradient);
      to.first = floats(slot.first);
      to.second = floats(slot.second);
      to.lr_scale = group.lr_scale;
      to.decay = parameter->decay ? group.weight_decay : 0;
      take_copy(to, *parameter);
    }
    moving.push_back(to);
  }
  device_->step(*stream_, moving);
  if (!stream_->recording()) return;
  stream_->before_replay([updates = std::move(updates)] {
    for (const RecordedUpdate& update : updates) update.check();
    for (const RecordedUpdate& update : updates) update.mark();
  });
}

void Optimizer::step() {
  const OpRange range(*stream_, "optimizer");
  GG_CHECK(!swapped_, "optimizer: the averages are swapped in; call swap_out_ema() first");
  if (device_ != nullptr) {
    step_on_device();
    return;
  }
  StepState& state = *stream_->state();
  GG_CHECK(state.step >= 0 && state.step < rates_.size(), "optimizer: step ", state.step,
           " is beyond the learning rates of ", rates_.size(), " steps");
  norm_ = measure_norm() / state.loss_scale;
  const double rate = rates_[state.step];
  ++state.step;
  state.skip = std::isfinite(norm_) ? 0 : 1;
  if (state.skip == 0) ++state.updates;

  optim::StepNumbers n{};
  n.kind = options_.kind;
  n.nesterov = options_.nesterov;
  n.scale = 1.0 / state.loss_scale;
  kernels::adapt_loss_scale(update_settings(options_), state.skip != 0, state);
  if (options_.clip_norm > 0) n.scale *= std::min(1.0, options_.clip_norm / (norm_ + 1e-6));
  n.momentum = options_.momentum;
  n.beta1 = options_.beta1;
  n.beta2 = options_.beta2;
  n.eps = options_.eps;
  n.correction1 = 1 - std::pow(n.beta1, static_cast<double>(state.updates));
  n.correction2 = 1 - std::pow(n.beta2, static_cast<double>(state.updates));
  n.ema_keep = state.updates == 1 ? 0 : options_.ema_decay;

  for (const Slot& slot : slots_) {
    Parameter* parameter = slot.parameter;
    Parameter* const fresh = parameter != nullptr && parameter->trainable && parameter->has_gradient
                                 ? parameter
                                 : nullptr;
    if (parameter != nullptr) parameter->has_gradient = false;
    if (state.skip != 0) continue;
    const Tensor& w = slot.value();
    const auto run = [&]<class T>(const auto& update) {
      const optim::StepPointers<T> p{
          pointer<T>(w), fresh != nullptr ? fresh->gradient.data<T>() : nullptr,
          pointer<T>(slot.first), pointer<T>(slot.second), pointer<T>(slot.ema)};
      parallel_for(stream_->threads(), w.size(), kGrain, [&](int64_t begin, int64_t end) {
        if (fresh != nullptr) {
          update(n, moved(p, begin), end - begin);
        } else if (p.ema != nullptr) {
          optim::average(n.ema_keep, p.w + begin, p.ema + begin, end - begin);
        }
      });
    };
    if (fresh != nullptr) {
      const ParameterGroup& group = groups_[slot.group];
      n.rate = rate * group.lr_scale;
      n.decay = fresh->decay ? group.weight_decay : 0;
    }
    switch (path_of(w)) {
      case Path::reference: run.operator()<double>(optim::update_reference); break;
      case Path::cpu: run.operator()<float>(optim::update_f32); break;
      case Path::cuda: break;  // step_on_device()
    }
    if (fresh != nullptr) fresh->bump();
  }
}

Optimizer::NamedTensors Optimizer::state() const {
  GG_CHECK(!swapped_, "optimizer: the averages are swapped in; call swap_out_ema() first");
  NamedTensors named;
  const char* first = options_.kind == Kind::sgd ? "momentum." : "first.";
  for (const Slot& slot : slots_) {
    if (slot.first.defined()) named.emplace_back(first + slot.name, slot.first);
    if (slot.second.defined()) named.emplace_back("second." + slot.name, slot.second);
    if (slot.ema.defined()) named.emplace_back("ema." + slot.name, slot.ema);
  }
  return named;
}

void Optimizer::swap_in_ema() { swap_ema(true); }
void Optimizer::swap_out_ema() { swap_ema(false); }

// Values change places, not handles: others hold the masters too.
void Optimizer::swap_ema(bool in) {
  GG_CHECK(options_.ema_decay > 0, "optimizer: no averages are kept (ema_decay is 0)");
  GG_CHECK(swapped_ != in, "optimizer: the averages are swapped ", in ? "in" : "out", " already");
  swapped_ = in;
  if (device_ != nullptr) {
    std::vector<kernels::UpdateSlot> pairs;
    for (const Slot& slot : slots_) {
      kernels::UpdateSlot pair{
          .w = floats(slot.value()), .ema = floats(slot.ema), .count = slot.value().size()};
      if (slot.parameter != nullptr) take_copy(pair, *slot.parameter);
      pairs.push_back(pair);
    }
    device_->swap(*stream_, pairs);
    return;
  }
  for (const Slot& slot : slots_) {
    const Tensor& w = slot.value();
    if (w.dtype == DType::f64) {
      std::swap_ranges(w.data<double>(), w.data<double>() + w.size(), slot.ema.data<double>());
    } else {
      std::swap_ranges(w.data<float>(), w.data<float>() + w.size(), slot.ema.data<float>());
    }
    if (slot.parameter != nullptr) slot.parameter->bump();
  }
}

}  // namespace gliograd
