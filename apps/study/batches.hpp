// Batches: what a network is fed, on either device. In training the next one of the epoch, drawn
// and augmented where the stream's StepState says; in evaluation named slices as they are.
#pragma once
#include <cstdint>
#include <vector>

#include "apps/study/fused_features.hpp"
#include "engine/ops/augment.hpp"

namespace gliograd::study {

struct Batch {
  Tensor images;  // [batch, H, W, C] in the network's type; on a GPU of a multiple of 8 channels
  Tensor extra;   // [batch, F] in the same; undefined where nothing is fused
  Tensor labels;  // i32 [batch]; undefined in evaluation
};

/// What batches are made from.
struct BatchSource {
  ResidentSet set;  // in memory of the stream's device
  InputSpec input;
  AugmentOptions augment;
  std::vector<int32_t> labels;  // [N] class of each slice
  // Numbers beside the features: fused.values[patients[n]] of slice n.
  FusedFeatures fused;
  std::vector<int32_t> patients;  // [N]
  DType dtype = DType::f32;
};

class Batches {
 public:
  /// `draws`: of an epoch. The stream must outlive it.
  Batches(Stream& stream, BatchSource source, int64_t batch, int64_t draws);

  /// The slices of the epoch that begins. Errors: Error when they are not as many as promised.
  void begin_epoch(const std::vector<int32_t>& order);
  /// Draws state.draw to state.draw + batch of it. On a GPU everything is queued and the step can
  /// be captured.
  Batch next();
  /// These slices, seen as `view` of square_symmetry().
  Batch plain(const std::vector<int32_t>& slices, int view);

 private:
  int64_t image_channels() const;
  std::vector<double> fused_rows(const std::vector<int32_t>& slices) const;

  Stream& stream_;
  std::unique_ptr<Stream> host_;
  BatchSource source_;
  int64_t batch_;
  std::vector<int32_t> order_;
  // On a GPU, made once: a captured step keeps their addresses.
  Tensor order_there_;   // i32 [draws]
  Tensor labels_there_;  // i32 [N]
  Tensor fused_there_;   // f32 [N, F]
};

}  // namespace gliograd::study
