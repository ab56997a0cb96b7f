// Padding of channels: one loop for reference and CPU (it computes nothing), backward node, entry,
// case.
#include "engine/ops/pad.hpp"

#include <algorithm>
#include <cstring>

#include "engine/autograd/op_range.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/path.hpp"
#include "engine/tensor/layout.hpp"
#include "kernels/pad.hpp"

namespace gliograd {
namespace {

// Rows of x in rows of `channels`, cut short or with zeros behind.
Tensor with_channels(Stream& stream, const Tensor& x, int64_t channels) {
  const int64_t had = x.dim(-1), rows = x.size() / had;
  Tensor y = empty(stream, x.shape.with(x.rank() - 1, channels), x.dtype);
  if (path_of(x) == Path::cuda) {
    kernels::copy_channels(stream.queue(), x.dtype, rows, had, x.raw(), channels, y.raw());
    return y;
  }
  fill_zero(y);
  const int64_t size = size_of(x.dtype);
  const auto both = static_cast<size_t>(std::min(had, channels) * size);
  for (int64_t row = 0; row < rows; ++row) {
    std::memcpy(static_cast<char*>(y.raw()) + row * channels * size,
                static_cast<const char*>(x.raw()) + row * had * size, both);
  }
  return y;
}

class PadChannelsNode final : public Node {
 public:
  explicit PadChannelsNode(int64_t channels) : channels_(channels) {}
  const char* name() const override { return "pad_channels"; }
  int64_t saved_bytes() const override { return 0; }
  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy) override {
    return {with_channels(context.stream, to_layout(dy, Layout::nhwc), channels_)};
  }

 private:
  int64_t channels_;  // of x
};

}  // namespace

Tensor pad_channels(Tape& tape, const Tensor& any, int64_t channels) {
  const OpRange range(tape, "pad_channels");
  check_computable("pad_channels", any);
  GG_CHECK(any.rank() >= 1 && any.size() > 0 && any.dim(-1) <= channels,
           "pad_channels: x must have ", "1 to ", channels,
           " channels, as many as asked for at most; got ", any.shape);
  Tensor x = to_layout(any, Layout::nhwc);
  if (x.dim(-1) == channels) return x;
  return tape.record(with_channels(tape.stream(), x, channels), {any},
                     PadChannelsNode(any.dim(-1)));
}

namespace {

CaseRow row(std::string label, const Shape& x, int64_t channels, bool bench = false) {
  CaseRow r;
  r.label = std::move(label);
  r.inputs = {{.shape = x, .batch = true}};
  r.op = [channels](Tape& tape, const std::vector<Tensor>& in) {
    return pad_channels(tape, in[0], channels);
  };
  r.bench = bench;
  const int64_t rows = x.size() / x[x.rank() - 1];
  r.cost = {.bytes = 4.0 * static_cast<double>(x.size() + rows * channels), .ops = 0};
  return r;
}

const bool kCase = register_case(
    {.name = "pad_channels",
     .rows = {row("3 to 8", {4, 3, 3, 3}, 8), row("as it is", {2, 8}, 8),
              row("1 to 33", {5, 1}, 33), row("80 x 80, 3 to 8", {32, 80, 80, 3}, 8, true)},
     .f32_tolerance = 0});

}  // namespace
}  // namespace gliograd
