// Tape: what was computed, so that it can be differentiated. Define by run: an op called with a
// tape records one named node with the tensors it keeps; backward() walks the nodes once, in
// reverse, frees what it has used, and is the only place where gradients are added up.
#pragma once
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/autograd/parameter.hpp"
#include "engine/device/stream.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

enum class Mode : uint8_t { train, eval };

/// What a node's backward may ask for.
struct BackwardContext {
  Stream& stream;
  /// needs[i]: whether the gradient of input i is wanted. An unwanted one may stay undefined.
  std::vector<bool> needs;
};

/// What a profile shows of an op on the CPU. (On a GPU the launches themselves say it.)
struct OpFacts {
  double forward_ops = 0, backward_ops = 0;             // operations of the formula
  std::string forward_by = "own", backward_by = "own";  // whose code computes it
};

class TapeObserver;

/// One recorded op. Subclasses are named classes; their members are the tensors they keep.
class Node {
 public:
  virtual ~Node() = default;
  /// The op's name, for traces.
  virtual const char* name() const = 0;
  /// Bytes of the tensors kept for the backward pass.
  virtual int64_t saved_bytes() const = 0;
  /// needs: as in BackwardContext.
  virtual OpFacts facts(Stream&, const std::vector<bool>& needs) const {
    (void)needs;
    return {};
  }
  /// Fresh gradients, one for each input in the order given to record(). dy has y's shape and type.
  virtual std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy) = 0;
};

class Tape {
 public:
  /// Records ops on `stream`; parameters are handed out in `compute`.
  explicit Tape(Stream& stream, DType compute = DType::f32);
  /// A tape that records and saves nothing.
  static Tape off(Stream& stream, DType compute = DType::f32);
  Tape(Tape&&) noexcept;
  ~Tape();

  Stream& stream() const { return *stream_; }
  kernels::Queue queue() const { return stream_->queue(); }
  DType compute() const { return compute_; }
  bool recording() const { return recording_; }
  /// Tells `observer` of all that follows; it must outlive the tape.
  void observe(TapeObserver& observer) { observer_ = &observer; }
  TapeObserver* observer() const { return observer_; }

  /// A handle of x whose gradient can be asked for after backward().
  Tensor watch(const Tensor& x);
  /// A handle of the parameter's tensor `x` whose gradient goes to the parameter.
  Tensor watch(Parameter& parameter, const Tensor& x);

  /// Puts y on the tape, computed from `inputs`; when no input needs a gradient (or the tape is
  /// off) nothing is kept. Returns y with its place on the tape.
  template <class N>
  Tensor record(Tensor y, std::vector<Tensor> inputs, N node) {
    if (!needs_gradient(inputs)) return y.detached();
    return record_node(std::move(y), inputs, std::make_unique<N>(std::move(node)));
  }
  bool needs_gradient(const std::vector<Tensor>& inputs) const;

  /// Differentiates a scalar `loss` (or any y, with its gradient `dy`). Gradients of parameters are
  /// added to Parameter::gradient. Errors: Error when loss is not on this tape or was used already.
  void backward(const Tensor& loss);
  void backward(const Tensor& y, const Tensor& dy);
  /// The gradient of a watched tensor after backward(); undefined where none flowed.
  Tensor gradient(const Tensor& watched) const;

  /// For profiles and tests: (name, saved bytes) of each node, in order.
  std::vector<std::pair<std::string, int64_t>> nodes() const;

 private:
  Tape(Stream& stream, DType compute, bool recording);
  Tensor record_node(Tensor y, const std::vector<Tensor>& inputs, std::unique_ptr<Node> node);
  /// Gives y a new place on this tape.
  void place(Tensor& y);
  /// Whether that is where x has its place.
  bool holds(const Tensor& x) const { return x.variable != 0 && x.tape == number_; }

  struct Record {
    std::unique_ptr<Node> node;
    std::vector<uint32_t> inputs;  // variables; 0 where no gradient is needed
    uint32_t output = 0;
  };
  std::vector<Tensor> run_backward(Record& record, BackwardContext& context, const Tensor& dy);

  Stream* stream_;
  DType compute_;
  bool recording_;
  uint32_t number_;  // no other tape has it
  bool used_ = false;
  TapeObserver* observer_ = nullptr;
  std::vector<Record> records_;
  std::vector<Tensor> gradients_;       // by variable
  std::vector<Parameter*> parameters_;  // by variable; null where it is not a parameter
};

}  // namespace gliograd
