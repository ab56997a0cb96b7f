#include "engine/autograd/tape.hpp"

#include <algorithm>
#include <atomic>

#include "engine/autograd/op_range.hpp"
#include "engine/core/error.hpp"
#include "engine/tensor/cast.hpp"
#include "engine/tensor/layout.hpp"
#include "kernels/step.hpp"

namespace gliograd {

Parameter::Parameter(std::string name_, Tensor master_)
    : name(std::move(name_)), master(std::move(master_)) {
  GG_CHECK(master.dtype == DType::f32 || master.dtype == DType::f64, "parameter ", name,
           ": masters are f32 or f64; got ", master.dtype);
}

Tensor Parameter::in_type(Tape& tape) {
  if (master.dtype == tape.compute()) return master;
  if (copy_version_ == version_ && copy_.dtype == tape.compute()) {
    if (tape.stream().recording()) {
      // The recorded work reads this memory and does not convert again.
      tape.stream().before_replay([this, read = copy_] {
        GG_CHECK(copy().storage() == read.storage(), "parameter ", name, ": its copy in ",
                 read.dtype,
                 ", which recorded work computes with, is out of date: the parameter was"
                 " changed, or computed with in another type; record the work anew");
      });
    }
    return copy_;
  }
  const OpRange range(tape.stream(), "cast weights");
  if (!copy_.defined() || copy_.dtype != tape.compute()) {
    copy_ = {};
    copy_ = empty_like(master, master.shape, tape.compute());
  }
  copy_into(copy_, master);
  copy_version_ = version_;
  tape.stream().before_replay([written = copy_] {});  // keeps its memory
  return copy_;
}

Tensor Parameter::on(Tape& tape) { return tape.watch(*this, in_type(tape)); }

Tensor Parameter::on_wide(Tape& tape) {
  return size_of(tape.compute()) < size_of(master.dtype) && master.dtype == DType::f32
             ? tape.watch(*this, master)
             : on(tape);
}

namespace {

uint32_t next_number() {
  static std::atomic<uint32_t> last{0};
  return ++last;
}

}  // namespace

Tape::Tape(Stream& stream, DType compute, bool recording)
    : stream_(&stream),
      compute_(compute),
      recording_(recording),
      number_(next_number()),
      gradients_(1),
      parameters_(1) {
  GG_CHECK(is_float(compute), "tape: the compute type must be floating; got ", compute);
}

Tape::Tape(Stream& stream, DType compute) : Tape(stream, compute, true) {}
Tape Tape::off(Stream& stream, DType compute) { return {stream, compute, false}; }
Tape::Tape(Tape&&) noexcept = default;
Tape::~Tape() = default;

void Tape::place(Tensor& y) {
  gradients_.emplace_back();
  parameters_.push_back(nullptr);
  y.variable = static_cast<uint32_t>(gradients_.size() - 1);
  y.tape = number_;
}

Tensor Tape::watch(const Tensor& x) {
  Tensor y = x.detached();
  if (recording_) place(y);
  return y;
}

Tensor Tape::watch(Parameter& parameter, const Tensor& x) {
  Tensor y = x.detached();
  y.parameter = &parameter;
  if (recording_ && parameter.trainable) {
    place(y);
    parameters_[y.variable] = &parameter;
    // Here and not in backward(): then the first step holds all that a later one holds at any
    // moment, and later ones find everything in the arena.
    if (!parameter.gradient.defined()) parameter.gradient = empty_like(parameter.master);
  }
  return y;
}

bool Tape::needs_gradient(const std::vector<Tensor>& inputs) const {
  if (!recording_) return false;
  for (const Tensor& x : inputs) {
    if (x.variable != 0) return true;
  }
  return false;
}

Tensor Tape::record_node(Tensor y, const std::vector<Tensor>& inputs, std::unique_ptr<Node> node) {
  GG_CHECK(!used_, "tape: backward() was called; start a new tape for another pass");
  Record record;
  for (const Tensor& x : inputs) {
    GG_CHECK(x.variable == 0 || holds(x), node->name(), ": an input belongs to another tape");
    record.inputs.push_back(x.variable);
  }
  record.node = std::move(node);
  place(y);
  record.output = y.variable;
  y.parameter = nullptr;
  if (observer_ != nullptr) observer_->recorded(*record.node, y, inputs);
  records_.push_back(std::move(record));
  return y;
}

std::vector<Tensor> Tape::run_backward(Record& record, BackwardContext& context, const Tensor& dy) {
  const OpRange range(*stream_, record.node->name());
  const auto at = static_cast<size_t>(&record - records_.data());
  if (observer_ != nullptr) observer_->backward_begins(at);
  std::vector<Tensor> gradients = record.node->backward(context, dy);
  if (observer_ != nullptr) observer_->backward_ends(at, dy, gradients);
  return gradients;
}

void Tape::backward(const Tensor& loss) {
  GG_CHECK(loss.size() == 1, "backward: the loss must be a scalar; got ", loss.shape);
  GG_CHECK(loss.dtype == DType::f32 || loss.dtype == DType::f64,
           "backward: losses are f32 or f64; got ", loss.dtype);
  Tensor dy = empty_like(loss);
  if (stream_->device() == Device::cuda) {
    kernels::write_loss_scale(queue(), stream_->state(), static_cast<float*>(dy.raw()));
  } else if (loss.dtype == DType::f64) {
    dy.at<double>(0) = stream_->state()->loss_scale;
  } else {
    dy.at<float>(0) = stream_->state()->loss_scale;
  }
  backward(loss, dy);
}

void Tape::backward(const Tensor& y, const Tensor& dy) {
  GG_CHECK(recording_, "backward: the tape is off");
  GG_CHECK(!used_, "backward: this tape was used already");
  GG_CHECK(holds(y), "backward: nothing with a gradient leads to this tensor on this tape");
  GG_CHECK(dy.shape == y.shape && dy.dtype == y.dtype, "backward: dy must be ", y.dtype, ' ',
           y.shape, "; got ", dy.dtype, ' ', dy.shape);
  used_ = true;
  const int threads = stream_->threads();
  gradients_[y.variable] = dy.detached();
  BackwardContext context{*stream_, {}};
  const OpRange range(*stream_, "backward");
  for (auto record = records_.rbegin(); record != records_.rend(); ++record) {
    const Tensor gradient = std::exchange(gradients_[record->output], Tensor{});
    if (gradient.defined()) {
      context.needs.clear();
      for (const uint32_t input : record->inputs) context.needs.push_back(input != 0);
      std::vector<Tensor> inputs = run_backward(*record, context, gradient);
      GG_CHECK(inputs.size() == record->inputs.size(), record->node->name(), ": backward returned ",
               inputs.size(), " gradients for ", record->inputs.size(), " inputs");
      for (size_t i = 0; i < inputs.size(); ++i) {
        const uint32_t variable = record->inputs[i];
        if (variable == 0 || !inputs[i].defined()) continue;
        Tensor& sum = gradients_[variable];
        if (!sum.defined()) {
          sum = std::move(inputs[i]);
        } else {
          if (!sum.unique()) {  // another gradient shares this memory: add into a copy
            Tensor copy = empty_like(sum);
            copy_into(copy, sum, threads);
            sum = std::move(copy);
          }
          const OpRange adding(*stream_, "add gradients");
          add_into(sum, to_layout(inputs[i], sum.layout), threads);
        }
      }
    }
    record->node.reset();
  }
  const OpRange handing(*stream_, "hand gradients over");
  std::vector<Transfer> transfers;
  for (size_t v = 1; v < parameters_.size(); ++v) {
    if (parameters_[v] == nullptr || !gradients_[v].defined()) continue;
    Parameter& parameter = *parameters_[v];
    const bool again =  // watched twice: adds to what an earlier transfer writes
        std::any_of(transfers.begin(), transfers.end(), [&](const Transfer& t) {
          return t.to.storage() == parameter.gradient.storage();
        });
    if (again) {
      transfer_all(transfers, threads);
      transfers.clear();
    }
    transfers.push_back({parameter.gradient, std::move(gradients_[v]), parameter.has_gradient});
    parameter.has_gradient = true;
    gradients_[v] = {};
  }
  transfer_all(transfers, threads);
}

Tensor Tape::gradient(const Tensor& watched) const {
  GG_CHECK(holds(watched), "gradient: the tensor is not watched by this tape");
  return gradients_[watched.variable];
}

std::vector<std::pair<std::string, int64_t>> Tape::nodes() const {
  std::vector<std::pair<std::string, int64_t>> list;
  for (const Record& record : records_) {
    if (record.node) list.emplace_back(record.node->name(), record.node->saved_bytes());
  }
  return list;
}

}  // namespace gliograd
