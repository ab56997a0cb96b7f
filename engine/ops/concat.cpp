// Concatenation along the last axis: reference, CPU, backward node, entry, case.
#include "engine/ops/concat.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "engine/autograd/op_range.hpp"
#include "engine/core/parallel.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/path.hpp"
#include "engine/tensor/layout.hpp"
#include "kernels/concat.hpp"

namespace gliograd {
namespace {

// Element by element: part[row, c] stands at whole[row, first + c]. kSplit fills the part.
template <bool kSplit>
void copy_reference(const Tensor& part, const Tensor& whole, int64_t first) {
  const int64_t width = part.dim(-1), stride = whole.dim(-1);
  for (int64_t i = 0; i < part.size(); ++i) {
    const int64_t at = i / width * stride + first + i % width;
    if constexpr (kSplit) {
      part.at<double>(i) = whole.at<double>(at);
    } else {
      whole.at<double>(at) = part.at<double>(i);
    }
  }
}

template <bool kSplit>
void copy_cpu(const Tensor& part, const Tensor& whole, int64_t first, int threads) {
  const int64_t width = part.dim(-1), stride = whole.dim(-1);
  if (width == 0) return;
  const int64_t size = size_of(whole.dtype);
  auto *few = static_cast<std::byte*>(part.raw()), *all = static_cast<std::byte*>(whole.raw());
  all += first * size;
  parallel_for(threads, part.size() / width, std::max<int64_t>(1, (1 << 15) / width),
               [&](int64_t begin, int64_t end) {
                 const auto bytes = static_cast<size_t>(width * size);
                 for (int64_t i = begin; i < end; ++i) {
                   if constexpr (kSplit) {
                     std::memcpy(few + i * width * size, all + i * stride * size, bytes);
                   } else {
                     std::memcpy(all + i * stride * size, few + i * width * size, bytes);
                   }
                 }
               });
}

// All parts in one launch, or a few where they are many.
void copy_cuda(std::span<const Tensor> parts, std::span<const int64_t> widths, const Tensor& whole,
               bool split) {
  const int64_t channels = whole.dim(-1), bytes = size_of(whole.dtype);
  if (channels == 0) return;
  int64_t first = 0;
  for (size_t begin = 0; begin < parts.size();) {
    kernels::ConcatParts some;
    auto* to = static_cast<std::byte*>(whole.raw()) + first * bytes;
    for (; begin < parts.size() && some.count < kernels::ConcatParts::kMost; ++begin) {
      some.part[some.count++] = {parts[begin].defined() ? parts[begin].raw() : nullptr,
                                 widths[begin]};
      first += widths[begin];
    }
    kernels::concat_channels(whole.storage()->queue(), some, whole.size() / channels, bytes, to,
                             channels, split);
  }
}

// parts[i] holds widths[i] channels of `whole`, in order; one that is not defined is left out.
// kSplit fills the parts.
template <bool kSplit>
void copy(std::span<const Tensor> parts, std::span<const int64_t> widths, const Tensor& whole,
          int threads) {
  if (path_of(whole) == Path::cuda) return copy_cuda(parts, widths, whole, kSplit);
  int64_t first = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].defined()) {
      if (path_of(whole) == Path::reference) {
        copy_reference<kSplit>(parts[i], whole, first);
      } else {
        copy_cpu<kSplit>(parts[i], whole, first, threads);
      }
    }
    first += widths[i];
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
    for (size_t i = 0; i < widths_.size(); ++i) {
      if (context.needs[i]) gradients[i] = empty_like(dy, dy.shape.with(-1, widths_[i]));
    }
    copy<true>(gradients, widths_, dy, context.stream.threads());
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
  std::vector<Tensor> parts;
  std::vector<int64_t> widths;
  int64_t channels = 0;
  for (const Tensor& x : tensors) {
    GG_CHECK(x.rank() == head.rank() && x.dtype == head.dtype &&
                 x.shape.with(-1, 0) == head.shape.with(-1, 0),
             "concat: all axes but the last, and the type, must agree; got ", head.dtype, ' ',
             head.shape, " and ", x.dtype, ' ', x.shape);
    parts.push_back(to_layout(x, Layout::nhwc));
    widths.push_back(x.dim(-1));
    channels += x.dim(-1);
  }
  const Tensor y = empty_like(head, head.shape.with(-1, channels));
  copy<false>(parts, widths, y, tape.stream().threads());
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
