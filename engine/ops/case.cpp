#include "engine/ops/case.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "engine/tensor/cast.hpp"
#include "engine/tensor/layout.hpp"

namespace gliograd {
namespace {

std::vector<Case>& registry() {
  static std::vector<Case> cases;
  return cases;
}

// The nearest value that the type can hold.
double rounded(double v, DType held) {
  switch (held) {
    case DType::bf16: return to_float(to_bf16(v));
    case DType::f16: return to_float(to_f16(v));
    default: return static_cast<float>(v);
  }
}

std::vector<double> random_values(const CaseInput& input, int64_t n, std::mt19937_64& generator,
                                  DType held) {
  std::vector<double> values(n);
  const auto uniform = [&] {  // in (0, 1)
    return (static_cast<double>(generator() >> 11) + 0.5) * 0x1p-53;
  };
  switch (input.fill) {
    case CaseInput::Fill::normal:
      for (double& v : values) {
        v = std::sqrt(-2 * std::log(uniform())) * std::cos(2 * M_PI * uniform());
      }
      break;
    case CaseInput::Fill::uniform:
      for (double& v : values) v = uniform();
      break;
    case CaseInput::Fill::distinct:
      for (int64_t i = 0; i < n; ++i) values[i] = (2.0 * i + 1.0) / n - 1.0 + 0.25 / n;
      for (int64_t i = n - 1; i > 0; --i) {
        std::swap(values[i], values[static_cast<int64_t>(uniform() * (i + 1))]);
      }
      break;
    case CaseInput::Fill::binary:
      for (double& v : values) v = uniform() < 0.5 ? 0 : 1;
      break;
    case CaseInput::Fill::classes:
      for (double& v : values) v = std::floor(uniform() * input.classes);
      return values;  // whole numbers beyond what 16 bits hold
  }
  // So that both paths see the same numbers.
  for (double& v : values) v = rounded(v, held);
  return values;
}

// ||a - b|| / ||b||; the plain norm of the difference where b is zero. NaN stays NaN, and is what
// lists of different lengths give.
double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return NAN;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

CaseOutcome outcome(std::string where, double error, double tolerance) {
  return {std::move(where), error, tolerance, error <= tolerance};  // false for NaN
}

struct Pass {
  Shape shape;  // of y
  std::vector<double> y;
  // NaN where the op put nothing on the tape; empty where an input is not differentiable.
  std::vector<std::vector<double>> gradients;
};

std::vector<double> output_gradients(const CaseRow& row, const Shape& shape, uint64_t seed,
                                     DType held) {
  std::mt19937_64 generator(seed ^ 0x9e3779b97f4a7c15u);
  const bool scalar = shape.size() == 1;  // then nothing makes up for one that is nearly zero
  const auto fill = scalar ? CaseInput::Fill::uniform : CaseInput::Fill::normal;
  std::vector<double> dy =
      random_values({.shape = shape, .fill = fill}, shape.size(), generator, held);
  for (double& v : dy) v = (scalar ? rounded(1 + v, held) : v) * row.dy_scale;
  return dy;
}

// Forward and backward with a fixed dy, made from `seed`.
Pass run(const CaseRow& row, Stream& stream, DType dtype, uint64_t seed, int64_t max_batch,
         DType held = DType::f32) {
  Tape tape(stream, dtype);
  std::vector<Tensor> inputs = case_inputs(row, stream, dtype, seed, max_batch, held);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (row.inputs[i].differentiable) inputs[i] = tape.watch(inputs[i]);
  }
  const Tensor y = row.op(tape, inputs);
  Pass pass{y.shape, to_values(y), std::vector<std::vector<double>>(inputs.size())};
  if (y.variable == 0) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (row.inputs[i].differentiable) pass.gradients[i].assign(inputs[i].size(), NAN);
    }
    return pass;
  }
  Tensor dy = from_values(stream, y.shape, output_gradients(row, y.shape, seed, held), y.dtype);
  dy = to_layout(dy, y.layout);
  tape.backward(y, dy);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!row.inputs[i].differentiable) continue;
    const Tensor gradient = tape.gradient(inputs[i]);
    pass.gradients[i] =
        gradient.defined() ? to_values(gradient) : std::vector<double>(inputs[i].size(), 0.0);
  }
  return pass;
}

}  // namespace

Tensor in_case_layout(const Tensor& x, Layout layout) {
  return x.dtype == DType::f32 && x.device() == Device::cpu ? to_layout(x, layout) : x;
}

bool register_case(Case c) {
  registry().push_back(std::move(c));
  return true;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases = registry();
  std::sort(cases.begin(), cases.end(),
            [](const Case& a, const Case& b) { return a.name < b.name; });
  return cases;
}

std::vector<Tensor> case_inputs(const CaseRow& row, Stream& stream, DType dtype, uint64_t seed,
                                int64_t max_batch, DType held) {
  std::mt19937_64 generator(seed);
  std::vector<Tensor> inputs;
  for (const CaseInput& input : row.inputs) {
    Shape shape = input.shape;
    if (input.batch && max_batch > 0) shape = shape.with(0, std::min(shape[0], max_batch));
    const std::vector<double> values = random_values(input, shape.size(), generator, held);
    const DType type = input.fill == CaseInput::Fill::classes ? DType::i32
                       : input.master && dtype != DType::f64  ? DType::f32
                                                              : dtype;
    inputs.push_back(from_values(stream, shape, values, type));
  }
  return inputs;
}

std::vector<CaseOutcome> compare_paths(const Case& c, const CaseRow& row, Stream& stream,
                                       uint64_t seed, DType dtype) {
  const int64_t max_batch = row.bench ? 1 : 0;
  const std::unique_ptr<Stream> cpu = Stream::cpu({.random = stream.random()});
  cpu->write_state(stream.read_state());
  const Pass reference = run(row, *cpu, DType::f64, seed, max_batch, dtype);
  const Pass path = run(row, stream, dtype, seed, max_batch, dtype);
  const double tolerance = dtype == DType::bf16  ? c.roundoffs * 0x1p-8
                           : dtype == DType::f16 ? c.roundoffs * 0x1p-11
                                                 : c.f32_tolerance;
  const std::string where = c.name + " / " + row.label + ": ";
  std::vector<CaseOutcome> outcomes;
  outcomes.push_back(outcome(
      where + "output", path.shape == reference.shape ? relative_error(path.y, reference.y) : NAN,
      tolerance));
  for (size_t i = 0; i < row.inputs.size(); ++i) {
    if (!row.inputs[i].differentiable) continue;
    outcomes.push_back(outcome(where + "gradient of input " + std::to_string(i),
                               relative_error(path.gradients[i], reference.gradients[i]),
                               tolerance));
  }
  return outcomes;
}

std::vector<CaseOutcome> check_gradients(const Case& c, const CaseRow& row, Stream& stream,
                                         uint64_t seed) {
  std::vector<CaseOutcome> outcomes;
  if (row.bench || !row.gradient_check) return outcomes;
  const Pass analytic = run(row, stream, DType::f64, seed, 0);
  const std::vector<Tensor> inputs = case_inputs(row, stream, DType::f64, seed);
  std::vector<double> dy;
  const auto objective = [&] {  // <dy, y>, whose gradient the analytic pass holds
    Tape tape = Tape::off(stream, DType::f64);
    const std::vector<double> y = to_values(row.op(tape, inputs));
    if (dy.empty()) {
      dy = output_gradients(row, {static_cast<int64_t>(y.size())}, seed, DType::f32);
    }
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += dy[i] * y[i];
    return sum;
  };
  const double at_x = objective();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!row.inputs[i].differentiable) continue;
    std::vector<double> numeric, compared;
    int64_t kinks = 0;
    for (int64_t j = 0; j < inputs[i].size(); ++j) {
      double& x = inputs[i].at<double>(j);
      const double before = x, step = 1e-5 * std::max(1.0, std::abs(before));
      x = before + step;
      const double above = objective();
      x = before - step;
      const double below = objective();
      x = before;
      const double right = (above - at_x) / step, left = (at_x - below) / step;
      if (std::abs(right - left) > 1e-2 * std::max({std::abs(right), std::abs(left), 1e-2})) {
        ++kinks;
        continue;
      }
      numeric.push_back((above - below) / (2 * step));
      compared.push_back(analytic.gradients[i][j]);
    }
    const int64_t size = inputs[i].size();
    const bool too_many_kinks = kinks > std::max<int64_t>(1, size / 20) || kinks == size;
    outcomes.push_back(
        outcome(c.name + " / " + row.label + ": finite differences of input " + std::to_string(i),
                too_many_kinks ? NAN : relative_error(compared, numeric), c.gradient_tolerance));
  }
  return outcomes;
}

}  // namespace gliograd
