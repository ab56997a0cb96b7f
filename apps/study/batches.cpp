#include "apps/study/batches.hpp"

#include <utility>

#include "engine/ops/augment_cuda.hpp"
#include "engine/tensor/cast.hpp"
#include "models/module.hpp"

namespace gliograd::study {
namespace {

Tensor integers(Stream& stream, const std::vector<int32_t>& values) {
  return from_values(stream, {static_cast<int64_t>(values.size())}, {values.begin(), values.end()},
                     DType::i32);
}

}  // namespace

Batches::Batches(Stream& stream, BatchSource source, int64_t batch, int64_t draws)
    : stream_(stream),
      host_(Stream::cpu()),
      source_(std::move(source)),
      batch_(batch),
      order_(draws) {
  if (stream.device() == Device::cpu) return;
  order_there_ = empty(stream, {draws}, DType::i32);
  labels_there_ = integers(stream, source_.labels);
  if (source_.fused.count == 0) return;
  std::vector<int32_t> all(source_.patients.size());
  for (size_t n = 0; n < all.size(); ++n) all[n] = static_cast<int32_t>(n);
  fused_there_ =
      from_values(stream, {static_cast<int64_t>(all.size()), source_.fused.count}, fused_rows(all));
}

int64_t Batches::image_channels() const {
  return models::image_channels(stream_.device(), source_.input.channels());
}

std::vector<double> Batches::fused_rows(const std::vector<int32_t>& slices) const {
  const int64_t f = source_.fused.count;
  std::vector<double> rows;
  for (const int32_t slice : slices) {
    const float* row = source_.fused.values.data() + source_.patients[slice] * f;
    rows.insert(rows.end(), row, row + f);
  }
  return rows;
}

void Batches::begin_epoch(const std::vector<int32_t>& order) {
  GG_CHECK(order.size() == order_.size(), "batches: an epoch needs ", order_.size(), " draws; got ",
           order.size());
  order_ = order;
  if (order_there_.defined()) copy_across(stream_, order_there_, integers(*host_, order));
}

Batch Batches::next() {
  const bool fused = source_.fused.count > 0;
  Batch batch;
  if (stream_.device() == Device::cuda) {
    batch.images =
        augment_next(stream_, source_.set, source_.input, order_there_, source_.augment,
                     {.images = batch_, .dtype = source_.dtype, .channels = image_channels()})
            .images;
    batch.labels = rows_next(stream_, labels_there_, order_there_, batch_);
    if (fused) {
      batch.extra = cast(rows_next(stream_, fused_there_, order_there_, batch_), source_.dtype);
    }
    return batch;
  }
  const StepState& state = *stream_.state();
  const auto first = order_.begin() + state.draw;
  const std::vector<int32_t> slices(first, first + batch_);
  batch.labels = empty(stream_, {batch_}, DType::i32);
  for (int64_t i = 0; i < batch_; ++i) batch.labels.at<int32_t>(i) = source_.labels[slices[i]];
  batch.images =
      cast(augment(stream_, source_.set, source_.input, slices, source_.augment, state).images,
           source_.dtype);
  if (fused) {
    batch.extra =
        from_values(stream_, {batch_, source_.fused.count}, fused_rows(slices), source_.dtype);
  }
  return batch;
}

Batch Batches::plain(const std::vector<int32_t>& slices, int view) {
  const std::vector<AugmentParams> views(slices.size(), square_symmetry(view));
  const auto n = static_cast<int64_t>(slices.size());
  Batch batch;
  if (stream_.device() == Device::cuda) {
    batch.images = augment_as(stream_, source_.set, source_.input, slices, views,
                              {.images = n, .dtype = source_.dtype, .channels = image_channels()})
                       .images;
  } else {
    const Tensor images =
        view == 0 ? sample(stream_, source_.set, source_.input, slices).images
                  : augment_as(stream_, source_.set, source_.input, slices, views).images;
    batch.images = cast(images, source_.dtype);
  }
  if (source_.fused.count > 0) {
    batch.extra = from_values(stream_, {n, source_.fused.count}, fused_rows(slices), source_.dtype);
  }
  return batch;
}

}  // namespace gliograd::study
