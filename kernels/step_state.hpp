// The few numbers that change from one training step to the next. They live in the stream's memory
// and every user reads them by pointer, on both devices: a captured step bakes in the pointer only.
#pragma once
#include <cstdint>

namespace gliograd {

struct StepState {
  int64_t step = 0;      // steps begun, row of the learning-rate table
  int64_t updates = 0;   // steps whose update was applied (Adam's bias correction counts these)
  int32_t epoch = 0;     // from 0
  int32_t draw = 0;      // slot in the epoch of the batch's first sample
  float loss_scale = 1;  // f16 only; 1 elsewhere
  int32_t steady = 0;    // updates since the loss scale changed
  int32_t skip = 0;      // 1: this step's gradients were not finite, nothing is updated
  int32_t reserved = 0;
  double loss_sum = 0;  // of the epoch so far, weighted by samples
};

}  // namespace gliograd
