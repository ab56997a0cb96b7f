#include "engine/autograd/op_range.hpp"

#include "engine/ops/case.hpp"
#include "engine/ops/elementwise.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

// Writes down what it is told.
class Listener final : public TapeObserver {
 public:
  std::vector<std::string> told;
  std::vector<std::string> open;   // forward passes under way
  std::vector<std::string> nodes;  // names, as recorded
  bool every_node_in_its_op = true;

  void forward_begins(const char* op) override {
    open.emplace_back(op);
    told.push_back("begin " + open.back());
  }
  void forward_ends() override {
    told.push_back("end " + open.back());
    open.pop_back();
  }
  void recorded(const Node& node, const Tensor& y, const std::vector<Tensor>& inputs) override {
    nodes.emplace_back(node.name());
    every_node_in_its_op = every_node_in_its_op && !open.empty() && open.back() == node.name();
    told.push_back(concat_text("node ", node.name(), ' ', y.shape, " from ", inputs.size()));
  }
  void backward_begins(size_t node) override { told.push_back("back " + nodes[node]); }
  void backward_ends(size_t node, const Tensor& dy, const std::vector<Tensor>& gradients) override {
    told.push_back(concat_text("done ", nodes[node], ' ', dy.shape, " to ", gradients.size()));
  }
};

}  // namespace

TEST_CASE("op range: an observer is told of each op, forward and backward, in order") {
  Listener listener;
  Tape tape(cpu_stream(), DType::f64);
  tape.observe(listener);
  const Tensor x = tape.watch(tensor({2}, {1, -1}));
  const Tensor y = add(tape, relu(tape, x), x);
  tape.backward(y, tensor({2}, {1, 1}));
  CHECK(listener.told == std::vector<std::string>{"begin relu", "node relu [2] from 1", "end relu",
                                                  "begin add", "node add [2] from 2", "end add",
                                                  "back add", "done add [2] to 2", "back relu",
                                                  "done relu [2] to 1"});
}

TEST_CASE("op range: every op's entry opens one of its own name") {
  const std::unique_ptr<Stream> stream = Stream::cpu();
  int ops = 0;
  for (const Case& one : all_cases()) {
    const CaseRow& row = one.rows.front();
    Listener listener;
    Tape tape(*stream);
    tape.observe(listener);
    std::vector<Tensor> inputs = case_inputs(row, *stream, DType::f32, 1);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (row.inputs[i].differentiable) inputs[i] = tape.watch(inputs[i]);
    }
    row.op(tape, inputs);
    INFO(one.name);
    CHECK(!listener.nodes.empty());
    CHECK(listener.every_node_in_its_op);
    CHECK(listener.open.empty());
    ++ops;
  }
  CHECK(ops > 10);
}

TEST_CASE("op range: what a node says of itself") {
  const Case conv = [] {
    for (const Case& one : all_cases()) {
      if (one.name == "conv") return one;
    }
    return Case{};
  }();
  class Asker final : public TapeObserver {
   public:
    OpFacts facts;
    void forward_begins(const char*) override {}
    void forward_ends() override {}
    void recorded(const Node& node, const Tensor&, const std::vector<Tensor>& inputs) override {
      facts = node.facts(cpu_stream(), {inputs[0].variable != 0, inputs[1].variable != 0});
    }
    void backward_begins(size_t) override {}
    void backward_ends(size_t, const Tensor&, const std::vector<Tensor>&) override {}
  } asker;
  const CaseRow& row = conv.rows.front();  // [2, 7, 5, 3] by [5, 3, 3, 3], padding 1
  Tape tape(cpu_stream());
  tape.observe(asker);
  std::vector<Tensor> inputs = case_inputs(row, cpu_stream(), DType::f32, 1);
  inputs[1] = tape.watch(inputs[1]);  // the weights alone, as in a first layer
  row.op(tape, inputs);
  CHECK(asker.facts.forward_ops == 2.0 * (2 * 7 * 5 * 5) * (3 * 3 * 3));
  CHECK(asker.facts.backward_ops == asker.facts.forward_ops);
  CHECK(!asker.facts.forward_by.empty());
}
