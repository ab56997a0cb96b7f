// Concatenation along the last axis: reference, CPU, backward node, entry, case.
#include "engine/ops/concat.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/autograd/op_range.hpp"
#include "engine/core/parallel.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/path.hpp"
#include "engine/tensor/layout.hpp"
#include "kernels/pad.hpp"

namespace gliograd {
namespace {

// Element by element: part[row, c] stands at whole[row, first + c]. kGather fills the part.
template <bool kGather>
void copy_reference(const Tensor& part, const Tensor& whole, int64_t first) {
  const int64_t width = part.dim(-1), stride = whole.dim(-1);
  for (int64_t i = 0; i < part.size(); ++i) {
    const int64_t at = i / width * stride + first + i % width;
    if constexpr (kGather) {
      part.at<double>(i) = whole.at<double>(at);
    } else {
      whole.at<double>(at) = part.at<double>(i);
    }
  }
}

template <bool kGather>
void copy_cpu(const Tensor& part, const Tensor& whole, int64_t first, int threads) {
  const int64_t width = part.dim(-1), stride = whole.dim(-1);
  if (width == 0) return;
  float *few = part.data<float>(), *all = whole.data<float>() + first;
  parallel_for(threads, part.size() / width, std::max<int64_t>(1, (1 << 15) / width),
               [&](int64_t begin, int64_t end) {
                 const auto bytes = static_cast<size_t>(width) * sizeof(float);
                 for (int64_t i = begin; i < end; ++i) {
                   if constexpr (kGather) {
                     std::memcpy(few + i * width, all + i * stride, bytes);
                   } else {
                     std::memcpy(all + i * stride, few + i * width, bytes);
                   }
                 }
               });
}

template <bool kGather>
void copy_cuda(const Tensor& part, const Tensor& whole, int64_t first) {
  const int64_t width = part.dim(-1), stride = whole.dim(-1);
  const int64_t rows = width == 0 ? 0 : part.size() / width;
  const kernels::Queue queue = whole.storage()->queue();
  if constexpr (kGather) {
    kernels::move_channels(queue, whole.dtype, rows, width, stride, first, whole.raw(), width, 0,
                           part.raw());
  } else {
    kernels::move_channels(queue, whole.dtype, rows, width, width, 0, part.raw(), stride, first,
                           whole.raw());
  }
}

template <bool kGather>
void copy(const Tensor& part, const Tensor& whole, int64_t first, int threads) {
  switch (path_of(whole)) {
    case Path::reference: copy_reference<kGather>(part, whole, first); break;
    case Path::cpu: copy_cpu<kGather>(part, whole, first, threads); break;
    case Path::cuda: copy_cuda<kGather>(part, whole, first); break;
  }
}

class ConcatNode final : public Node {
 public:
  explicit ConcatNode(std::vector<int64_t> widths) : widths_(std::move(widths)) {}
  const char* name() const override { return "concat"; }
  int64_t saved_bytes() const override { return 0; }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy_any) override {
    const Tensor dy = to_layout(dy_any, Layout::nhwc);
    std::vector<Tensor> gradients(widths_.size());
    int64_t first = 0;
    for (size_t i = 0; i < widths_.size(); ++i) {
      if (context.needs[i]) {
        gradients[i] = empty_like(dy, dy.shape.with(-1, widths_[i]));
        copy<true>(gradients[i], dy, first, context.stream.threads());
      }
      first += widths_[i];
    }
    return gradients;
  }

 private:
  std::vector<int64_t> widths_;
};

}  // namespace

Tensor concat(Tape& tape, const std::vector<Tensor>& tensors) {
  const OpRange range(tape, "concat");
  GG_CHECK(!tensors.empty() && tensors[0].rank() >= 1,
           "concat: needs at least one tensor, each with an axis");
  const Tensor& head = tensors[0];
  check_computable("concat", head);
  std::vector<int64_t> widths;
  int64_t channels = 0;
  for (const Tensor& x : tensors) {
    GG_CHECK(x.rank() == head.rank() && x.dtype == head.dtype &&
                 x.shape.with(-1, 0) == head.shape.with(-1, 0),
             "concat: all axes but the last, and the type, must agree; got ", head.dtype, ' ',
             head.shape, " and ", x.dtype, ' ', x.shape);
    widths.push_back(x.dim(-1));
    channels += x.dim(-1);
  }
  const Tensor y = empty_like(head, head.shape.with(-1, channels));
  int64_t first = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    copy<false>(to_layout(tensors[i], Layout::nhwc), y, first, tape.stream().threads());
    first += widths[i];
  }
  return tape.record(y, tensors, ConcatNode(std::move(widths)));
}

namespace {

CaseRow row(std::string label, const std::vector<Shape>& shapes, bool blocked = false,
            bool bench = false) {
  CaseRow r;
  r.label = std::move(label);
  double values = 0;
  for (const Shape& shape : shapes) {
    r.inputs.push_back({.shape = shape, .batch = true});
    values += static_cast<double>(shape.size());
  }
  r.op = [blocked](Tape& tape, std::vector<Tensor> in) {
    if (blocked) in[0] = in_case_layout(in[0], Layout::blocked16);
    return concat(tape, in);
  };
  r.bench = bench;
  r.cost = {.bytes = 8 * values, .ops = 0};
  return r;
}

const bool kCase = register_case({
    .name = "concat",
    .rows = {row("three images", {{2, 3, 2, 4}, {2, 3, 2, 1}, {2, 3, 2, 6}}),
             row("one tensor, size one", {{1}}), row("rows", {{3, 5}, {3, 2}}),
             row("a blocked one", {{1, 2, 3, 18}, {1, 2, 3, 5}}, true),
             row("28 x 28, 256 and 32: a block of DenseNet-121",
                 {{32, 28, 28, 256}, {32, 28, 28, 32}}, false, true)},
    .f32_tolerance = 1e-7,
});

}  // namespace
}  // namespace gliograd
