// Dropout: reference, CPU, backward node, entry, case.
#include "engine/ops/dropout.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/autograd/op_range.hpp"
#include "engine/core/parallel.hpp"
#include "engine/ops/case.hpp"
#include "engine/ops/path.hpp"
#include "engine/tensor/layout.hpp"
#include "kernels/dropout.hpp"

namespace gliograd {
namespace {

// Where the random numbers of one call stand.
struct Draws {
  kernels::PhiloxKey key;
  uint32_t layer, draw, epoch;

  kernels::PhiloxBlock block(int64_t sample, int64_t position) const {
    return kernels::philox(key, kernels::counter_of({.position = static_cast<uint64_t>(position),
                                                     .layer = layer,
                                                     .draw = draw + static_cast<uint32_t>(sample),
                                                     .epoch = epoch,
                                                     .purpose = kernels::Purpose::dropout}));
  }
};

kernels::PhiloxKey key_of(const Stream& stream) {
  return {{stream.random().seed, stream.random().low_word()}};
}

Draws draws_of(Stream& stream, uint32_t layer) {
  const StepState& state = *stream.state();
  return {key_of(stream), layer, static_cast<uint32_t>(state.draw),
          static_cast<uint32_t>(state.epoch)};
}

void forward_reference(const Draws& draws, double p, const Tensor& x, Tensor& kept, Tensor& y) {
  const int64_t elements = x.size() / x.dim(0);
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t e = i % elements;
    const float u = kernels::uniform(draws.block(i / elements, e / 4).word[e % 4]);
    kept.at<uint8_t>(i) = u >= p;
    y.at<double>(i) = u >= p ? x.at<double>(i) / (1 - p) : 0;
  }
}

// uniform(word) >= p as a comparison of integers: (word >> 9) + 0.5 >= p * 2^23.
uint32_t threshold_of(double p) {
  return static_cast<uint32_t>(std::max(0.0, std::ceil(p * 0x1p23 - 0.5)));
}

template <class T>
void forward_cpu(const Draws& draws, double p, int threads, const Tensor& x, Tensor& kept,
                 Tensor& y) {
  const int64_t elements = x.size() / x.dim(0);
  const uint32_t threshold = threshold_of(p);
  const float scale = static_cast<float>(1 / (1 - p));
  const T* from = x.data<T>();
  T* to = y.data<T>();
  uint8_t* mask = kept.data<uint8_t>();
  const int64_t grain = std::max<int64_t>(1, 4096 / elements);
  parallel_for(threads, x.dim(0), grain, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      for (int64_t e = 0; e < elements; e += 4) {
        const kernels::PhiloxBlock block = draws.block(n, e / 4);
        const int64_t at = n * elements + e;
        for (int64_t k = 0; k < std::min<int64_t>(4, elements - e); ++k) {
          const bool keep = block.word[k] >> 9 >= threshold;
          mask[at + k] = keep;
          put(to[at + k], keep ? value_of(from[at + k]) * scale : 0.0f);
        }
      }
    }
  });
}

class DropoutNode final : public Node {
 public:
  DropoutNode(Tensor kept, double p) : kept_(std::move(kept)), p_(p) {}
  const char* name() const override { return "dropout"; }
  int64_t saved_bytes() const override { return kept_.bytes(); }
  OpFacts facts(Stream&, const std::vector<bool>&) const override {
    const auto values = static_cast<double>(kept_.size());
    return {.forward_ops = values, .backward_ops = values};
  }

  std::vector<Tensor> backward(BackwardContext& context, const Tensor& dy_any) override {
    const Tensor dy = to_layout(dy_any, Layout::nhwc);
    Tensor dx = empty_like(dy);
    switch (path_of(dy)) {
      case Path::reference:
        for (int64_t i = 0; i < dy.size(); ++i) {
          dx.at<double>(i) = kept_.at<uint8_t>(i) ? dy.at<double>(i) / (1 - p_) : 0;
        }
        break;
      case Path::cpu: {
        const float scale = static_cast<float>(1 / (1 - p_));
        const uint8_t* mask = kept_.data<uint8_t>();
        with_cpu_type(dy, [&](auto t) {
          const auto* from = dy.data<decltype(t)>();
          auto* to = dx.data<decltype(t)>();
          parallel_for(context.stream.threads(), dy.size(), 1 << 15,
                       [&](int64_t begin, int64_t end) {
                         for (int64_t i = begin; i < end; ++i) {
                           put(to[i], mask[i] ? value_of(from[i]) * scale : 0.0f);
                         }
                       });
        });
        break;
      }
      case Path::cuda:
        kernels::dropout_gradients(context.stream.queue(), dy.dtype, dy.size(),
                                   static_cast<float>(1 / (1 - p_)), dy.raw(),
                                   static_cast<const uint8_t*>(kept_.raw()), dx.raw());
        break;
    }
    return {dx};
  }

 private:
  Tensor kept_;  // u8: 1 where the element is kept
  double p_;
};

}  // namespace

Tensor dropout(Tape& tape, const Tensor& any, const DropoutOptions& options) {
  const OpRange range(tape, "dropout");
  const double p = options.probability;
  GG_CHECK(p >= 0 && p < 1, "dropout: probability must be at least 0 and below 1; got ", p);
  GG_CHECK(options.layer < 1u << 16, "dropout: layer must be below 65536; got ", options.layer);
  check_computable("dropout", any);
  GG_CHECK(any.rank() >= 1, "dropout: x must have a batch axis; got ", any.shape);
  if (options.mode == Mode::eval || p == 0 || any.size() == 0) return any;
  const Tensor x = to_layout(any, Layout::nhwc);
  Tensor y = empty_like(x), kept = empty_like(x, x.shape, DType::u8);
  Stream& stream = tape.stream();
  switch (path_of(x)) {
    case Path::reference: forward_reference(draws_of(stream, options.layer), p, x, kept, y); break;
    case Path::cpu:
      with_cpu_type(x, [&](auto t) {
        forward_cpu<decltype(t)>(draws_of(stream, options.layer), p, stream.threads(), x, kept, y);
      });
      break;
    case Path::cuda:
      kernels::dropout_values(stream.queue(),
                              {.samples = x.dim(0),
                               .elements = x.size() / x.dim(0),
                               .layer = options.layer,
                               .threshold = threshold_of(p),
                               .scale = static_cast<float>(1 / (1 - p))},
                              key_of(stream), stream.state(), x.dtype, x.raw(),
                              static_cast<uint8_t*>(kept.raw()), y.raw());
      break;
  }
  return tape.record(y, {any}, DropoutNode(kept, p));
}

namespace {

CaseRow row(std::string label, const Shape& x, double probability, bool bench = false) {
  CaseRow r;
  r.label = std::move(label);
  r.inputs = {{.shape = x, .batch = true}};
  r.op = [probability](Tape& tape, const std::vector<Tensor>& in) {
    return dropout(tape, in[0], {.probability = probability, .layer = 3});
  };
  r.bench = bench;
  r.cost = {.bytes = 9.0 * static_cast<double>(x.size()),
            .ops = 30.0 * static_cast<double>(x.size())};
  return r;
}

const bool kCase = register_case({
    .name = "dropout",
    .rows = {row("odd sizes", {3, 5, 7}, 0.3), row("size one", {1}, 0.5),
             row("an image", {2, 3, 3, 5}, 0.9), row("nothing dropped", {4, 3}, 0),
             row("a head, 512", {32, 512}, 0.5, true)},
    .f32_tolerance = 2e-7,
});

}  // namespace
}  // namespace gliograd
