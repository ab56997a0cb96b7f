// The inner loops of a step over one parameter. Only optimizer.cpp includes this.
#pragma once
#include <cstdint>

#include "engine/optim/optimizer.hpp"
#include "kernels/optimizer.hpp"

namespace gliograd::optim {

/// The numbers of one step of one parameter.
struct StepNumbers {
  OptimizerOptions::Kind kind;
  bool nesterov;
  double scale;  // of the gradient: 1 / loss_scale and the clip factor
  double rate, decay, momentum, beta1, beta2, eps;
  double correction1, correction2;  // 1 - beta^t
  double ema_keep;                  // share of the old average; 1 leaves it alone, 0 copies
};

template <class T>
struct StepPointers {
  T* w;
  const T* g;
  T *first, *second, *ema;  // null where there is none
};

kernels::UpdateRule rule_of(OptimizerOptions::Kind kind, double momentum, bool nesterov);

/// Naive, in f64: the specification.
void update_reference(const StepNumbers& n, const StepPointers<double>& p, int64_t count);
/// Vectorized, in f32, by the arithmetic of kernels/optimizer.hpp.
void update_f32(const StepNumbers& n, const StepPointers<float>& p, int64_t count);
/// ema = keep * ema + (1 - keep) * w.
void average(double keep, const double* w, double* ema, int64_t count);
void average(double keep, const float* w, float* ema, int64_t count);
/// Sum of squares in f64. NaN or infinite when any value is.
double square_sum(const double* g, int64_t count);
double square_sum(const float* g, int64_t count);

}  // namespace gliograd::optim
