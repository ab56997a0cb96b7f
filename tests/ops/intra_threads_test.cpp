// Which ops give other bits when one network's work is shared among several threads, and how far
// apart they are: every registered case in f32 at 1, 2 and 3 threads.
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "engine/ops/case.hpp"
#include "engine/tensor/layout.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

// The output and every gradient of a row.
std::vector<std::vector<double>> run(const CaseRow& row, Stream& stream, uint64_t seed) {
  Tape tape(stream, DType::f32);
  std::vector<Tensor> inputs = case_inputs(row, stream, DType::f32, seed, 4);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (row.inputs[i].differentiable) inputs[i] = tape.watch(inputs[i]);
  }
  const Tensor y = row.op(tape, inputs);
  std::vector<std::vector<double>> out = {to_values(y)};
  if (y.variable == 0) return out;
  std::mt19937_64 generator(seed);
  std::vector<double> dy(y.size());
  for (double& v : dy) v = static_cast<double>(generator() >> 11) * 0x1p-53 - 0.5;
  tape.backward(y, to_layout(from_values(stream, y.shape, dy, y.dtype), y.layout));
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!row.inputs[i].differentiable) continue;
    const Tensor gradient = tape.gradient(inputs[i]);
    if (gradient.defined()) out.push_back(to_values(gradient));
  }
  return out;
}

double relative(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

// The largest relative difference of any tensor of any row, by op; ops whose values are equal are
// not in it. Tensor 0 is the output, tensor 1 + i the gradient of the i-th differentiable input.
std::map<std::string, double> differing_ops(bool vendor, uint64_t seed) {
  std::map<std::string, double> worst;
  const auto one = Stream::cpu({.vendor = vendor});
  for (const int threads : {2, 3}) {
    const auto several = Stream::cpu({.threads = threads, .vendor = vendor});
    for (const Case& c : all_cases()) {
      for (const CaseRow& row : c.rows) {
        const auto expected = run(row, *one, seed), found = run(row, *several, seed);
        REQUIRE(expected.size() == found.size());
        for (size_t i = 0; i < expected.size(); ++i) {
          if (expected[i] == found[i]) continue;
          const double difference = relative(found[i], expected[i]);
          INFO(c.name, " / ", row.label, ", tensor ", i, ", ", threads, " threads, seed ", seed);
          CHECK(difference <= 1e-5);  // false for NaN
          double& known = worst[c.name + ", tensor " + std::to_string(i)];
          known = std::max(known, difference);
        }
      }
    }
  }
  for (const auto& [name, difference] : worst) {
    MESSAGE(name, std::string(vendor ? " (oneDNN where it is): " : " (own paths): "), difference);
  }
  return worst;
}

void check_names(const std::map<std::string, double>& worst, const std::set<std::string>& known) {
  for (const auto& one : worst) {
    CHECK_MESSAGE(known.count(one.first.substr(0, one.first.find(','))) == 1, one.first,
                  " differs by ", one.second);
  }
}

}  // namespace

TEST_CASE("threads of one network: own paths") {
  check_names(differing_ops(false, fresh_seed()), {});
}

TEST_CASE("threads of one network: with oneDNN") {
  check_names(differing_ops(true, fresh_seed()), {"conv"});
}
