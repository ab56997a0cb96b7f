// First weights, by the names of the papers that proposed them. Every number is a pure function of
// the run's random key, the parameter's order in its network and the element, so folds start
// differently and a resumed or re-threaded run starts the same. Values are drawn in f32: an f64
// network starts from the very numbers of the f32 one.
#pragma once
#include <cstdint>

#include "engine/device/stream.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd::models {

enum class Init : uint8_t {
  zeros,
  ones,
  he_normal,           // normal, variance 2 / fan: He, Zhang, Ren, Sun 2015, arXiv:1502.01852
  he_uniform,          // uniform of that variance: +-sqrt(6 / fan)
  he_normal_fan_out,   // the same with the fan that keeps the variance of the gradients
  glorot_normal,       // normal, variance 2 / (fan_in + fan_out): Glorot & Bengio 2010
  glorot_uniform,      // uniform of that variance: +-sqrt(6 / (fan_in + fan_out))
  lecun_normal,        // normal, variance 1 / fan_in: LeCun et al. 1998, "Efficient BackProp"
  truncated_normal02,  // normal, deviation 0.02, drawn anew beyond 2 deviations: as in BERT and ViT
};

/// Inputs that reach one output, and outputs that one input reaches.
struct Fans {
  double in = 1;
  double out = 1;
};
/// Of a convolution's [out, kh, kw, in/groups] or a linear layer's [out, in].
/// Errors: Error for any other rank.
Fans fans_of(const Shape& weight, int64_t groups = 1);

/// Fills `weight` (f32 or f64). `order` is the parameter's place in its network, below 65,536.
void initialize(Tensor& weight, Init init, const Fans& fans, const RandomKey& key, uint32_t order);

}  // namespace gliograd::models
