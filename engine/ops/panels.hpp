// Panels: how the CPU paths of channel-wise ops walk an image tensor in either layout. The values
// are cut into slices (of rows, a row being one pixel) and each slice into panels of at most 16
// channels. The cut depends on the shape alone, so sums made panel by panel and then joined in
// order have the same bits for any number of threads.
#pragma once
#include <algorithm>
#include <cstdint>

#include "engine/ops/lanes.hpp"
#include "engine/tensor/layout.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

struct Panel {
  int64_t offset;  // of the first value, in elements
  int64_t rows;    // pixels
  int64_t stride;  // elements from one row to the next
  int64_t width;   // channels, up to 16
};

class Panels {
 public:
  /// x is [..., C]; a blocked16 tensor [N, H, W, C].
  explicit Panels(const Tensor& x) : channels_(x.dim(-1)) {
    tiles_ = (channels_ + lanes::kLanes - 1) / lanes::kLanes;
    blocked_ = x.layout == Layout::blocked16;
    const int64_t all_rows = channels_ == 0 ? 0 : x.size() / channels_;
    images_ = blocked_ ? x.dim(0) : 1;
    rows_ = images_ == 0 ? 0 : all_rows / images_;
    // A slice of about 24 KiB stays in the first cache while it is read twice.
    const int64_t width = blocked_ ? lanes::kLanes : channels_;
    slice_rows_ = std::max<int64_t>(32, kSliceValues / std::max<int64_t>(1, width));
    slices_per_image_ = (rows_ + slice_rows_ - 1) / slice_rows_;
  }

  int64_t channels() const { return channels_; }
  int64_t tiles() const { return tiles_; }
  /// Channels rounded up to whole tiles.
  int64_t padded() const { return tiles_ * lanes::kLanes; }
  int64_t slices() const { return images_ * slices_per_image_; }
  /// Slices that are worth a thread of their own.
  int64_t grain() const {
    return std::max<int64_t>(1, kThreadValues / std::max<int64_t>(1, slice_rows_ * channels_));
  }
  int64_t rows(int64_t slice) const {
    const int64_t first = slice % slices_per_image_ * slice_rows_;
    return std::min(slice_rows_, rows_ - first);
  }
  Panel at(int64_t slice, int64_t tile) const {
    const int64_t image = slice / slices_per_image_;
    const int64_t first = slice % slices_per_image_ * slice_rows_;
    if (blocked_) {
      return {((image * tiles_ + tile) * rows_ + first) * lanes::kLanes, rows(slice), lanes::kLanes,
              lanes::kLanes};
    }
    const int64_t channel = tile * lanes::kLanes;
    return {first * channels_ + channel, rows(slice), channels_,
            std::min(lanes::kLanes, channels_ - channel)};
  }

 private:
  static constexpr int64_t kSliceValues = 6144;
  static constexpr int64_t kThreadValues = 1 << 15;

  int64_t channels_, tiles_, images_, rows_, slice_rows_, slices_per_image_;
  bool blocked_;
};

/// Whether to_layout(dy, layout) is memory that nobody else will read, so that an op whose element
/// i of dx depends on element i of dy alone may write dx there. Asked before other handles are
/// made.
inline bool may_overwrite(const Tensor& dy, Layout layout) {
  return dy.unique() || !same_order(dy.shape, dy.layout, layout);
}

}  // namespace gliograd
