// Softmax and the losses on the emulated GPU beyond their cases: sizes around every cut, labels and
// weights that the host never sees, and the same bits whatever the order of the blocks.
#include <cmath>

#include "engine/ops/sigmoid_cross_entropy.hpp"
#include "engine/ops/softmax_cross_entropy.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;
using simt::compare;
using simt::expect_nothing;
using simt::fresh_stream;
using simt::kSizes;
using simt::row_of;

namespace {

// A row of a loss with other numbers of rows and classes; inputs 2 and 3 are its weights.
CaseRow resized(const char* op, const char* label, int64_t rows, int64_t classes) {
  CaseRow row = row_of(op, label);
  const bool one_label = row.inputs[1].fill == CaseInput::Fill::classes;
  row.inputs[0].shape = {rows, classes};
  row.inputs[1].shape = one_label ? Shape{rows} : Shape{rows, classes};
  if (!one_label) row.inputs[1].fill = CaseInput::Fill::binary;
  row.inputs[1].classes = static_cast<int>(classes);
  if (row.inputs.size() > 2) {
    row.inputs[2].shape = {classes};
    row.inputs[3].shape = {rows};
  }
  row.dy_scale = std::exp2(std::ceil(std::log2(rows * (one_label ? 1 : classes))));
  return row;
}

// The loss of logits x [rows, 3] and its gradient.
struct Result {
  double loss;
  std::vector<double> gradient;
};

bool all_nan(const std::vector<double>& values) {
  bool all = true;
  for (const double v : values) all = all && std::isnan(v);
  return all;
}

Result softmax_loss(Stream& stream, const std::vector<double>& labels,
                    const std::vector<double>& class_weights = {},
                    const std::vector<double>& sample_weights = {}) {
  const auto rows = static_cast<int64_t>(labels.size());
  Tape tape(stream);
  const Tensor x =
      tape.watch(from_values(stream, {rows, 3}, std::vector<double>(labels.size() * 3, 0.5)));
  SoftmaxCrossEntropyOptions options;
  if (!class_weights.empty()) options.class_weights = from_values(stream, {3}, class_weights);
  if (!sample_weights.empty()) options.sample_weights = from_values(stream, {rows}, sample_weights);
  const Tensor loss =
      softmax_cross_entropy(tape, x, from_values(stream, {rows}, labels, DType::i32), options);
  tape.backward(loss);
  return {to_values(loss)[0], to_values(tape.gradient(x))};
}

double sigmoid_loss(Stream& stream, const std::vector<double>& targets, double weight,
                    std::vector<double>* gradient = nullptr) {
  const auto n = static_cast<int64_t>(targets.size());
  Tape tape(stream);
  const Tensor x = tape.watch(zeros(stream, {n}));
  const Tensor loss = sigmoid_cross_entropy(tape, x, from_values(stream, {n}, targets),
                                            {.pos_weight = from_values(stream, {1}, {weight})});
  tape.backward(loss);
  if (gradient != nullptr) *gradient = to_values(tape.gradient(x));
  return to_values(loss)[0];
}

}  // namespace

TEST_CASE("GPU softmax: rows and classes around every cut") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  CaseRow row = row_of("softmax", "odd sizes");
  for (const int64_t classes : kSizes) {
    row.inputs[0].shape = {5, classes};
    compare("softmax", row, *stream);
  }
  for (const int64_t rows : kSizes) {
    row.inputs[0].shape = {rows, 3};
    compare("softmax", row, *stream);
  }
  expect_nothing();
}

TEST_CASE("GPU losses: rows and classes around every cut") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  const char* const softmax = "softmax_cross_entropy";
  for (const int64_t classes : kSizes) {
    compare(softmax, resized(softmax, "weights and smoothing", 9, classes), *stream);
    compare("sigmoid_cross_entropy", resized("sigmoid_cross_entropy", "weights", 9, classes),
            *stream);
  }
  for (const int64_t rows : kSizes) {
    // One sure row of two classes has a loss near zero, beside which roundoff is large.
    compare(softmax, resized(softmax, "weights", rows, rows == 1 ? 5 : 2), *stream);
    compare(softmax, resized(softmax, "two classes", rows, 24), *stream);
    compare("sigmoid_cross_entropy", resized("sigmoid_cross_entropy", "weights", rows, 1), *stream);
  }
  compare(softmax, resized(softmax, "weights and smoothing", 400, 72), *stream);  // many blocks
  expect_nothing();
}

TEST_CASE("GPU losses: what the host would refuse is NaN in loss and gradient") {
  simt::set_device({});
  const std::unique_ptr<Stream> stream = Stream::cuda();
  const Result sound = softmax_loss(*stream, {0, 1, 2}, {1, 2, 0}, {0, 1, 1});
  CHECK(sound.loss == doctest::Approx(std::log(3.0)));
  CHECK(sound.gradient[3] == doctest::Approx(1.0 / 3));
  const auto spoiled = [](const Result& r) { return std::isnan(r.loss) && all_nan(r.gradient); };
  CHECK(spoiled(softmax_loss(*stream, {0, 3, 2})));
  CHECK(spoiled(softmax_loss(*stream, {0, -1, 2})));
  CHECK(spoiled(softmax_loss(*stream, {0, 2000000000, 2}, {1, 2, 1})));
  CHECK(spoiled(softmax_loss(*stream, {0, 0, 0}, {1, -1, 1})));  // of a class that no row has
  CHECK(spoiled(softmax_loss(*stream, {0, 0, 0}, {1, 1, INFINITY})));
  CHECK(spoiled(softmax_loss(*stream, {0, 0, 0}, {1, 1, 1}, {1, NAN, 1})));
  CHECK(spoiled(softmax_loss(*stream, {0, 0, 0}, {1, 1, 1}, {1, 2, -1})));
  CHECK(spoiled(softmax_loss(*stream, {0, 0, 0}, {0, 1, 1})));  // all weights zero
  std::vector<double> many(3000, 1);                            // more than one block
  CHECK(softmax_loss(*stream, many).loss == doctest::Approx(std::log(3.0)));
  many.back() = 3;
  CHECK(spoiled(softmax_loss(*stream, many)));

  std::vector<double> gradient;
  CHECK(sigmoid_loss(*stream, {0, 1}, 1) == doctest::Approx(std::log(2.0)));
  for (const double bad : {-0.1, 1.1, static_cast<double>(NAN)}) {
    CHECK(std::isnan(sigmoid_loss(*stream, {0, bad, 1}, 1, &gradient)));
    CHECK(gradient[0] == doctest::Approx(0.5 / 3));
    CHECK(std::isnan(gradient[1]));
  }
  CHECK(std::isnan(sigmoid_loss(*stream, {0, 1}, -1, &gradient)));
  CHECK(all_nan(gradient));
  expect_nothing();
}

TEST_CASE("GPU losses: logits of any size give a finite loss, NaN is not hidden") {
  simt::set_device({});
  const std::unique_ptr<Stream> stream = Stream::cuda();
  Tape tape = Tape::off(*stream);
  const Tensor label = from_values(*stream, {1}, {0}, DType::i32);
  const auto loss = [&](const std::vector<double>& x) {
    return to_values(softmax_cross_entropy(
        tape, from_values(*stream, {1, static_cast<int64_t>(x.size())}, x), label))[0];
  };
  CHECK(loss({-1e38, 1e38}) == doctest::Approx(2e38));
  CHECK(loss({-1e4, 1e4}) == 2e4);
  CHECK(loss({3, -INFINITY}) == 0);
  CHECK(std::isnan(loss({1, NAN})));
  CHECK(std::isnan(loss({-INFINITY, -INFINITY})));
  const auto sigmoid = [&](double x, double t) {
    return to_values(sigmoid_cross_entropy(tape, from_values(*stream, {1}, {x}),
                                           from_values(*stream, {1}, {t})))[0];
  };
  CHECK(sigmoid(1e4, 0) == 1e4);
  CHECK(sigmoid(20, 1) == doctest::Approx(std::exp(-20.0)));
  CHECK(std::isnan(sigmoid(NAN, 1)));
  expect_nothing();
}

TEST_CASE("GPU losses: the same bits for any order of blocks") {
  const CaseRow softmax = resized("softmax_cross_entropy", "weights and smoothing", 3000, 3),
                sigmoid = resized("sigmoid_cross_entropy", "weights", 9000, 3);
  for (const CaseRow& row : {softmax, sigmoid}) {
    std::vector<double> first;
    for (const uint64_t seed : {1, 2, 3}) {
      simt::set_options({.seed = seed});
      simt::set_device({.order = simt::Order::any, .seed = seed});
      const std::unique_ptr<Stream> stream = Stream::cuda();
      Tape tape(*stream);
      std::vector<Tensor> in = case_inputs(row, *stream, DType::f32, 5);
      in[0] = tape.watch(in[0]);
      const Tensor loss = row.op(tape, in);
      tape.backward(loss);
      std::vector<double> bits = to_values(tape.gradient(in[0]));
      bits.push_back(to_values(loss)[0]);
      if (seed == 1) first = bits;
      CHECK(bits == first);
    }
  }
  simt::set_options({});
  expect_nothing();
}

TEST_CASE("GPU losses: errors name what was needed and what came") {
  simt::set_device({});
  const std::unique_ptr<Stream> stream = Stream::cuda(), cpu = Stream::cpu();
  Tape tape = Tape::off(*stream);
  const Tensor x = zeros(*stream, {2, 3}, DType::bf16), labels = zeros(*stream, {2}, DType::i32);
  CHECK_THROWS_WITH_AS(softmax_cross_entropy(tape, x, zeros(*cpu, {2}, DType::i32)),
                       doctest::Contains("labels must be on the cuda as x; got the cpu"), Error);
  CHECK_THROWS_WITH_AS(
      softmax_cross_entropy(tape, x, labels, {.class_weights = zeros(*stream, {3}, DType::bf16)}),
      doctest::Contains("class_weights must be f32 [3]; got bf16 [3]"), Error);
  CHECK_THROWS_WITH_AS(softmax_cross_entropy(tape, x, labels, {.sample_weights = zeros(*cpu, {2})}),
                       doctest::Contains("sample_weights must be on the cuda as x"), Error);
  CHECK_THROWS_WITH_AS(sigmoid_cross_entropy(tape, x, zeros(*stream, {2, 3}, DType::bf16)),
                       doctest::Contains("targets must be f32 [2, 3] as x; got bf16"), Error);
  CHECK_THROWS_WITH_AS(sigmoid_cross_entropy(tape, x, zeros(*cpu, {2, 3})),
                       doctest::Contains("targets must be on the cuda as x; got the cpu"), Error);
  expect_nothing();
}
