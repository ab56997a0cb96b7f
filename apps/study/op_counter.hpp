// Operations of what a tape records, by the formulas of its ops.
#pragma once
#include <vector>

#include "engine/autograd/op_range.hpp"

namespace gliograd::study {

class OpCounter final : public TapeObserver {
 public:
  explicit OpCounter(Stream& stream) : stream_(stream) {}
  /// Of all nodes recorded so far, forward and backward.
  double ops() const { return ops_; }

  void recorded(const Node& node, const Tensor&, const std::vector<Tensor>& inputs) override {
    std::vector<bool> needs;
    for (const Tensor& x : inputs) needs.push_back(x.variable != 0);
    const OpFacts facts = node.facts(stream_, needs);
    ops_ += facts.forward_ops + facts.backward_ops;
  }
  void forward_begins(const char*) override {}
  void forward_ends() override {}
  void backward_begins(size_t) override {}
  void backward_ends(size_t, const Tensor&, const std::vector<Tensor>&) override {}

 private:
  Stream& stream_;
  double ops_ = 0;
};

}  // namespace gliograd::study
