// Augmentation on a GPU: one launch draws what is done to each image of a batch, gathers, warps,
// changes, normalizes and casts it. The arithmetic is that of augment_params.hpp, augment_map.hpp
// and augment_pixel.hpp, so parameters, maps and values have the bits of the CPU.
//
// Bytes an image, at least: its window of the stored set once (one byte a value), the batch once.
#pragma once
#include "kernels/augment_pixel.hpp"
#include "kernels/entry.hpp"
#include "kernels/step_state.hpp"

namespace gliograd::kernels {

/// A batch in the making. All pointers are the device's.
struct AugmentBatch {
  ResidentSet set;
  InputSpec input;
  PhiloxKey key = {};
  int64_t images = 0;
  // Slices: image i is order[first + i], first being state->draw, or 0 where state is null.
  const int32_t* order = nullptr;
  const StepState* state = nullptr;
  // What is done to them: [images], or null where it is drawn by the options, image i as draw
  // state->draw + i of epoch state->epoch.
  const AugmentParams* params = nullptr;
  AugmentOptions options = {};
  // Out: [images, height, width, channels]; channels beyond the input's are 0. masks, [images,
  // height, width] of 0 and 1, may be null.
  void* out = nullptr;
  DType dtype = DType::f32;
  int64_t channels = 0;
  uint8_t* masks = nullptr;
  // What the parameters may hold, so that a block takes the memory for it: knots of the elastic
  // displacement, and whether any image may be blurred or brought to low resolution.
  int64_t most_knots = 0;
  bool filters = true;
};

/// The images. Errors: DeviceError where a window with filters is wider than a block's memory holds
/// (some 590 pixels).
inline const Entry<void(Queue, const AugmentBatch&)> augment_images{"augment_images"};

/// Row i of `to` is row order[state->draw + i] of the table: what belongs to the slices of a batch,
/// in values of four bytes.
struct GatherRows {
  const uint32_t* table = nullptr;  // [N, width]
  int64_t width = 1;
  const int32_t* order = nullptr;
  const StepState* state = nullptr;
  int64_t rows = 0;
  uint32_t* to = nullptr;  // [rows, width]
};
inline const Entry<void(Queue, const GatherRows&)> gather_rows{"gather_rows"};

}  // namespace gliograd::kernels
