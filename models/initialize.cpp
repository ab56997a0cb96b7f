#include "models/initialize.hpp"

#include <algorithm>
#include <cmath>

#include "engine/core/error.hpp"
#include "kernels/portable_math.hpp"

namespace gliograd::models {
namespace {

// Philox words of one parameter: block b of try t. Elements take the four numbers of a block in
// turn; another try is another `draw`.
class Words {
 public:
  Words(const RandomKey& key, uint32_t order) : key_{{key.seed, key.low_word()}}, order_(order) {
    GG_CHECK(order < 65536, "initialize: a network has at most 65536 parameters; this is number ",
             order);
  }
  kernels::PhiloxBlock block(int64_t b, uint32_t attempt = 0) const {
    return kernels::philox(key_, kernels::counter_of({.position = static_cast<uint64_t>(b),
                                                      .layer = order_,
                                                      .draw = attempt,
                                                      .purpose = kernels::Purpose::init}));
  }

 private:
  kernels::PhiloxKey key_;
  uint32_t order_;
};

void put(Tensor& weight, int64_t i, float value) {
  if (weight.dtype == DType::f64) {
    weight.at<double>(i) = value;
  } else {
    weight.at<float>(i) = value;
  }
}

void fill(Tensor& weight, float value) {
  for (int64_t i = 0; i < weight.size(); ++i) put(weight, i, value);
}

void fill_normal(Tensor& weight, const Words& words, double variance) {
  const float deviation = static_cast<float>(std::sqrt(variance));
  for (int64_t i = 0; i < weight.size(); i += 4) {
    const kernels::NormalBlock block = kernels::normal(words.block(i / 4));
    for (int64_t j = 0; j < std::min<int64_t>(4, weight.size() - i); ++j) {
      put(weight, i + j, deviation * block.value[j]);
    }
  }
}

void fill_uniform(Tensor& weight, const Words& words, double variance) {
  const float limit = static_cast<float>(std::sqrt(3 * variance));  // (-l, l) has variance l^2 / 3
  for (int64_t i = 0; i < weight.size(); i += 4) {
    const kernels::PhiloxBlock block = words.block(i / 4);
    for (int64_t j = 0; j < std::min<int64_t>(4, weight.size() - i); ++j) {
      put(weight, i + j, limit * (2 * kernels::uniform(block.word[j]) - 1));
    }
  }
}

void fill_truncated(Tensor& weight, const Words& words, float deviation) {
  for (int64_t i = 0; i < weight.size(); ++i) {
    float value = 3;
    for (uint32_t attempt = 0; std::abs(value) > 2; ++attempt) {
      value = kernels::normal(words.block(i / 4, attempt)).value[i % 4];
    }
    put(weight, i, deviation * value);
  }
}

}  // namespace

Fans fans_of(const Shape& weight, int64_t groups) {
  GG_CHECK(weight.rank() == 2 || weight.rank() == 4,
           "fans: a weight is [out, kh, kw, in/groups] or [out, in]; got ", weight);
  const double taps =
      weight.rank() == 4 ? static_cast<double>(weight[1]) * static_cast<double>(weight[2]) : 1;
  return {.in = taps * static_cast<double>(weight.dim(-1)),
          .out = taps * static_cast<double>(weight[0]) / static_cast<double>(groups)};
}

void initialize(Tensor& weight, Init init, const Fans& fans, const RandomKey& key, uint32_t order) {
  GG_CHECK(weight.dtype == DType::f32 || weight.dtype == DType::f64,
           "initialize: masters are f32 or f64; got ", weight.dtype);
  GG_CHECK(fans.in > 0 && fans.out > 0, "initialize: fans must be positive; got ", fans.in, " and ",
           fans.out);
  const Words words(key, order);
  switch (init) {
    case Init::zeros: fill(weight, 0); break;
    case Init::ones: fill(weight, 1); break;
    case Init::he_normal: fill_normal(weight, words, 2 / fans.in); break;
    case Init::he_uniform: fill_uniform(weight, words, 2 / fans.in); break;
    case Init::he_normal_fan_out: fill_normal(weight, words, 2 / fans.out); break;
    case Init::glorot_normal: fill_normal(weight, words, 2 / (fans.in + fans.out)); break;
    case Init::glorot_uniform: fill_uniform(weight, words, 2 / (fans.in + fans.out)); break;
    case Init::lecun_normal: fill_normal(weight, words, 1 / fans.in); break;
    case Init::truncated_normal02: fill_truncated(weight, words, 0.02f); break;
  }
}

}  // namespace gliograd::models
