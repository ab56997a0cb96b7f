#include "engine/ops/augment_cuda.hpp"

#include <algorithm>
#include <cstring>

#include "engine/autograd/op_range.hpp"
#include "kernels/augment.hpp"

namespace gliograd {
namespace {

static_assert(std::is_trivially_copyable_v<AugmentParams>);

// Bytes of the host in a tensor of the stream.
Tensor uploaded(Stream& stream, const void* bytes, int64_t count) {
  const std::unique_ptr<Stream> host = Stream::cpu();
  const Tensor x = empty(*host, {count}, DType::u8);
  std::memcpy(x.raw(), bytes, static_cast<size_t>(count));
  return copy_to(stream, x);
}

int64_t knots_of(float spacing, const InputSpec& input) {
  return int64_t{kernels::spline_knots(input.height, spacing)} *
         kernels::spline_knots(input.width, spacing);
}

kernels::AugmentBatch batch_of(Stream& stream, const ResidentSet& set, const InputSpec& input,
                               const SampleBatch& out) {
  kernels::AugmentBatch batch;
  batch.set = set;
  batch.input = input;
  batch.key = {{stream.random().seed, stream.random().low_word()}};
  batch.images = out.images.dim(0);
  batch.out = out.images.raw();
  batch.dtype = out.images.dtype;
  batch.channels = out.images.dim(3);
  batch.masks = out.masks.defined() ? static_cast<uint8_t*>(out.masks.raw()) : nullptr;
  return batch;
}

SampleBatch empty_batch(Stream& stream, const InputSpec& input, const BatchForm& form) {
  SampleBatch batch;
  batch.images = empty(stream, {form.images, input.height, input.width, form.channels}, form.dtype);
  if (form.with_masks == WithMasks::yes) {
    batch.masks = empty(stream, {form.images, input.height, input.width}, DType::u8);
  }
  return batch;
}

const int32_t* order_of(const Tensor& x) {
  GG_CHECK(x.defined() && x.dtype == DType::i32 && x.device() == Device::cuda,
           "next batch: the order must be i32 on the GPU");
  return static_cast<const int32_t*>(x.raw());
}

void check_form(const InputSpec& input, const BatchForm& form) {
  GG_CHECK(form.images > 0, "batch on a GPU: needs at least one image; got ", form.images);
  GG_CHECK(form.channels >= input.channels(), "batch on a GPU: ", form.channels,
           " channels cannot hold the input's ", input.channels());
}

}  // namespace

DeviceSet::DeviceSet(Stream& stream, const ResidentSet& host) : set_(host) {
  GG_CHECK(host.images != nullptr && host.patients != nullptr && host.scales != nullptr &&
               host.slices > 0,
           "resident set: has no images, patients or scales");
  for (int64_t i = 0; i < host.slices; ++i) {
    GG_CHECK(host.patients[i] >= 0 && host.patients[i] < host.patient_count, "resident set: slice ",
             i, " belongs to patient ", host.patients[i], " of ", host.patient_count);
  }
  const int64_t pixels = host.slices * host.height * host.width;
  images_ = uploaded(stream, host.images, pixels * host.channels);
  patients_ = uploaded(stream, host.patients, host.slices * int64_t{sizeof(int32_t)});
  scales_ = uploaded(stream, host.scales,
                     host.patient_count * host.channels * int64_t{sizeof(ChannelScale)});
  set_.images = static_cast<const uint8_t*>(images_.raw());
  set_.patients = static_cast<const int32_t*>(patients_.raw());
  set_.scales = static_cast<const ChannelScale*>(scales_.raw());
  if (host.masks != nullptr) {
    masks_ = uploaded(stream, host.masks, pixels);
    set_.masks = static_cast<const uint8_t*>(masks_.raw());
  }
}

SampleBatch augment_next(Stream& stream, const ResidentSet& set, const InputSpec& input,
                         const Tensor& order, const AugmentOptions& options,
                         const BatchForm& form) {
  const OpRange range(stream, "augment");
  check_input("augment_next", set, input, form.with_masks);
  check_augment_options(options, input);
  check_form(input, form);
  GG_CHECK(stream.device() == Device::cuda, "augment_next: the stream must be a GPU's");
  SampleBatch out = empty_batch(stream, input, form);
  kernels::AugmentBatch batch = batch_of(stream, set, input, out);
  batch.order = order_of(order);
  batch.state = stream.state();
  batch.options = options;
  batch.filters = options.blur_probability > 0 || options.low_resolution_probability > 0;
  batch.most_knots =
      options.elastic_probability > 0 ? knots_of(options.elastic_spacing_pixels, input) : 0;
  kernels::augment_images(stream.queue(), batch);
  return out;
}

Tensor rows_next(Stream& stream, const Tensor& table, const Tensor& order, int64_t images) {
  const OpRange range(stream, "gather_rows");
  GG_CHECK(table.defined() && table.device() == Device::cuda &&
               ((table.dtype == DType::i32 && table.rank() == 1) ||
                (table.dtype == DType::f32 && table.rank() == 2)),
           "rows_next: the table must be i32 [N] or f32 [N, F] on the GPU");
  const bool wide = table.rank() == 2;
  Tensor rows = empty(stream, wide ? Shape{images, table.dim(1)} : Shape{images}, table.dtype);
  kernels::gather_rows(stream.queue(), {.table = static_cast<const uint32_t*>(table.raw()),
                                        .width = wide ? table.dim(1) : 1,
                                        .order = order_of(order),
                                        .state = stream.state(),
                                        .rows = images,
                                        .to = static_cast<uint32_t*>(rows.raw())});
  return rows;
}

SampleBatch augment_as(Stream& stream, const ResidentSet& set, const InputSpec& input,
                       std::span<const int32_t> slices, std::span<const AugmentParams> params,
                       const BatchForm& form) {
  const OpRange range(stream, "augment");
  check_augment_as(stream, set, input, slices, params, form.with_masks);
  check_form(input, form);
  GG_CHECK(form.images == static_cast<int64_t>(slices.size()), "augment: a batch of ", form.images,
           " images from ", slices.size(), " slices");
  SampleBatch out = empty_batch(stream, input, form);
  const Tensor order = uploaded(stream, slices.data(), static_cast<int64_t>(slices.size_bytes()));
  const Tensor drawn = uploaded(stream, params.data(), static_cast<int64_t>(params.size_bytes()));
  kernels::AugmentBatch batch = batch_of(stream, set, input, out);
  batch.order = static_cast<const int32_t*>(order.raw());
  batch.params = reinterpret_cast<const AugmentParams*>(drawn.raw());
  batch.filters = false;
  for (const AugmentParams& p : params) {
    if (p.elastic > 0) {
      batch.most_knots = std::max(batch.most_knots, knots_of(p.elastic_spacing, input));
    }
    for (const ChannelParams& q : p.channel) {
      batch.filters = batch.filters || q.blur > 0 || q.low_resolution > 1;
    }
  }
  kernels::augment_images(stream.queue(), batch);
  return out;
}

}  // namespace gliograd
