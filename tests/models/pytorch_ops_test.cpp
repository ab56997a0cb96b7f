// Single ops against PyTorch's f64 results (tests/oracle/make_fixtures.py): the options where
// libraries differ.
#include <functional>

#include "engine/ops/batch_norm.hpp"
#include "engine/ops/conv.hpp"
#include "engine/ops/pool.hpp"
#include "engine/ops/softmax_cross_entropy.hpp"
#include "tests/models/pytorch_fixture.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

const files::Hdf5Reader& fixture() {
  static const files::Hdf5Reader reader(test::source_path("tests/oracle/fixtures/ops.h5"));
  return reader;
}

std::vector<double> numbers(const std::string& object) {
  std::vector<int64_t> any(fixture().dataset(object).shape.size(), -1);
  return fixture().read<double>(object, any);
}

Tensor load(const std::string& object, DType dtype) {
  const std::vector<int64_t>& shape = fixture().dataset(object).shape;
  return tensor(Shape::of(shape.data(), static_cast<int>(shape.size())), numbers(object), dtype);
}

// f64 to rounding, f32 to a few of its own.
double tolerance(DType dtype) { return dtype == DType::f64 ? 1e-13 : 2e-6; }

using Op = std::function<Tensor(Tape&, const std::vector<Tensor>&)>;
void compare(const std::string& name, const std::vector<std::string>& inputs, const Op& op) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    CAPTURE(name);
    CAPTURE(std::string(name_of(dtype)));
    const std::string group = "/" + name + "/";
    Tape tape(cpu_stream(), dtype);
    std::vector<Tensor> watched;
    for (const std::string& input : inputs) {
      watched.push_back(tape.watch(load(group + input, dtype)));
    }
    const Tensor y = op(tape, watched);
    CHECK(distance(values(y), numbers(group + "y")) <= tolerance(dtype));
    tape.backward(y, load(group + "dy", dtype));
    for (size_t i = 0; i < inputs.size(); ++i) {
      CAPTURE(inputs[i]);
      CHECK(distance(values(tape.gradient(watched[i])), numbers(group + "d" + inputs[i])) <=
            tolerance(dtype));
    }
  }
}

void compare_conv(const std::string& name, const ConvOptions& options) {
  compare(name, {"x", "weight", "bias"}, [&](Tape& tape, const std::vector<Tensor>& in) {
    return conv(tape, in[0], in[1], in[2], options);
  });
}

}  // namespace

TEST_CASE("pytorch: convolution with asymmetric padding, stride, dilation and groups") {
  compare_conv("conv_asymmetric", {.pad = {.top = 0, .bottom = 1, .left = 1, .right = 2}});
  compare_conv("conv_stride2_same",
               {.stride = 2, .pad = {.top = 0, .bottom = 1, .left = 1, .right = 1}});
  compare_conv("conv_dilation3", {.pad = Padding::all(3), .dilation = 3});
  compare_conv("conv_groups2", {.pad = Padding::all(1), .groups = 2});
  compare_conv("conv_depthwise", {.stride = 2, .pad = Padding::all(1), .groups = 5});
}

TEST_CASE("pytorch: pooling, with and without the padding counted") {
  compare("max_pool", {"x"}, [](Tape& tape, const std::vector<Tensor>& in) {
    return max_pool(tape, in[0], {.kernel = 3, .stride = 2, .pad = Padding::all(1)});
  });
  for (const bool count : {true, false}) {
    compare(count ? "average_pool_with_padding" : "average_pool_without_padding", {"x"},
            [count](Tape& tape, const std::vector<Tensor>& in) {
              return average_pool(
                  tape, in[0],
                  {.kernel = 3, .stride = 2, .pad = Padding::all(1), .count_padding = count});
            });
  }
}

TEST_CASE("pytorch: batch norm in both modes, and its running statistics") {
  const std::vector<double> before = numbers("/batch_norm_running_before");
  const std::vector<double> after = numbers("/batch_norm_running_after");
  const auto stats = [](const std::vector<double>& both, DType dtype) {
    const int64_t c = static_cast<int64_t>(both.size()) / 2;
    return RunningStats{tensor({c}, {both.begin(), both.begin() + c}, dtype),
                        tensor({c}, {both.begin() + c, both.end()}, dtype)};
  };
  compare("batch_norm_train", {"x", "gamma", "beta"}, [&](Tape& tape, const auto& in) {
    RunningStats running = stats(before, in[0].dtype);
    Tensor y = batch_norm(tape, in[0], in[1], in[2], running, {.eps = 1e-3, .momentum = 0.3});
    std::vector<double> now = values(running.mean);
    for (const double v : values(running.var)) now.push_back(v);
    CHECK(distance(now, after) <= tolerance(in[0].dtype));
    return y;
  });
  compare("batch_norm_eval", {"x", "gamma", "beta"}, [&](Tape& tape, const auto& in) {
    RunningStats running = stats(after, in[0].dtype);
    return batch_norm(tape, in[0], in[1], in[2], running, {.eps = 1e-3, .mode = Mode::eval});
  });
}

TEST_CASE("pytorch: cross-entropy with class weights and label smoothing") {
  for (const char* kind : {"plain", "weighted", "smoothed", "weighted_smoothed"}) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      CAPTURE(kind);
      CAPTURE(std::string(name_of(dtype)));
      const std::string group = std::string("/cross_entropy_") + kind + "/";
      const std::vector<int32_t> labels = fixture().read<int32_t>(group + "labels", {-1});
      SoftmaxCrossEntropyOptions options;
      if (contains(kind, "weighted")) {
        options.class_weights = load("/cross_entropy_class_weights", dtype);
      }
      if (contains(kind, "smoothed")) {
        options.label_smoothing = numbers("/cross_entropy_smoothing").front();
      }
      Tape tape(cpu_stream(), dtype);
      const Tensor logits = tape.watch(load(group + "logits", dtype));
      const Tensor loss = softmax_cross_entropy(
          tape, logits,
          tensor({static_cast<int64_t>(labels.size())}, {labels.begin(), labels.end()}, DType::i32),
          options);
      CHECK(distance(values(loss), numbers(group + "loss")) <= tolerance(dtype));
      tape.backward(loss);
      CHECK(distance(values(tape.gradient(logits)), numbers(group + "dlogits")) <=
            tolerance(dtype));
    }
  }
}
