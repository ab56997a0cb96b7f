#include "apps/cli/augment_arrays.hpp"

#include "engine/files/hdf5_file.hpp"

namespace gliograd::cli {
namespace {

template <class T>
void write_each(files::Hdf5Writer& file, const std::string& name,
                const std::vector<AugmentParams>& all, T AugmentParams::*member) {
  std::vector<T> values;
  for (const AugmentParams& p : all) values.push_back(p.*member);
  file.write("/parameters/" + name, values);
}

template <class T>
void write_channels(files::Hdf5Writer& file, const std::string& name,
                    const std::vector<AugmentParams>& all, int sequences,
                    T ChannelParams::*member) {
  std::vector<T> values;
  for (const AugmentParams& p : all) {
    for (int c = 0; c < sequences; ++c) values.push_back(p.channel[c].*member);
  }
  file.write("/parameters/" + name, {static_cast<int64_t>(all.size()), sequences}, values.data());
}

void write_parameters(files::Hdf5Writer& file, const std::vector<AugmentParams>& all,
                      int sequences) {
  using P = AugmentParams;
  using C = ChannelParams;
  write_each(file, "flip_y", all, &P::flip_y);
  write_each(file, "flip_x", all, &P::flip_x);
  write_each(file, "quarter_turns", all, &P::quarter_turns);
  write_each(file, "rotation_degrees", all, &P::rotation);
  write_each(file, "scale", all, &P::scale);
  write_each(file, "stretch", all, &P::stretch);
  write_each(file, "shear_degrees", all, &P::shear);
  write_each(file, "shift_y_pixels", all, &P::shift_y);
  write_each(file, "shift_x_pixels", all, &P::shift_x);
  write_each(file, "elastic_pixels", all, &P::elastic);
  std::vector<int32_t> cutout;
  for (const P& p : all) cutout.insert(cutout.end(), p.cutout, p.cutout + 4);
  file.write("/parameters/cutout", {static_cast<int64_t>(all.size()), 4}, cutout.data());
  if (sequences == 0) return;
  write_channels(file, "brightness_sd", all, sequences, &C::brightness);
  write_channels(file, "contrast", all, sequences, &C::contrast);
  write_channels(file, "gamma", all, sequences, &C::gamma);
  write_channels(file, "bias", all, sequences, &C::bias);
  write_channels(file, "rician_sd", all, sequences, &C::rician);
  write_channels(file, "gaussian_sd", all, sequences, &C::gaussian);
  write_channels(file, "blur_pixels", all, sequences, &C::blur);
  write_channels(file, "low_resolution_factor", all, sequences, &C::low_resolution);
  write_channels(file, "dropped", all, sequences, &C::dropped);
}

}  // namespace

std::vector<int32_t> repeated(const std::vector<int32_t>& slices, int draws) {
  std::vector<int32_t> all;
  for (const int32_t slice : slices) all.insert(all.end(), static_cast<size_t>(draws), slice);
  return all;
}

void write_batch(const BatchFile& b, const std::string& path) {
  const std::vector<int32_t> slices = repeated(b.slices, b.draws);
  const SampleBatch batch =
      augment(b.stream, b.resident.set(), b.input, slices, b.options, StepState{},
              b.set.has_masks() ? WithMasks::yes : WithMasks::no);
  const int64_t n = batch.images.dim(0), h = b.input.height, w = b.input.width;
  std::vector<std::string> patients, channels;
  std::vector<int32_t> numbers, draws;
  std::vector<AugmentParams> params;
  for (size_t i = 0; i < slices.size(); ++i) {
    const data::Slice& slice = b.set.slices[slices[i]];
    patients.push_back(b.set.patients[slice.patient].id);
    numbers.push_back(slice.number);
    draws.push_back(static_cast<int32_t>(i));
    params.push_back(draw_augment(b.stream.random(), 0, draws.back(), b.options, b.input));
  }
  for (int c = 0; c < b.input.sequence_count; ++c) {
    channels.push_back(b.set.channels[b.input.sequences[c]]);
  }
  if (b.input.mask == MaskUse::channel) channels.push_back("mask");

  files::Hdf5Writer file(path, static_cast<uint64_t>(batch.images.bytes() + n * h * w));
  file.attribute("/", "format", "gliograd.batch");
  file.attribute("/", "version", int64_t{1});
  file.attribute("/", "data", b.set.digest);
  file.attribute("/", "preset", b.preset);
  file.attribute("/", "seed", static_cast<int64_t>(b.seed));
  for (const auto& [name, value] : data::describe(b.options)) {
    file.attribute("/", "augment." + name, value);
  }
  file.write("/images", {n, h, w, b.input.channels()}, batch.images.data<float>());
  if (batch.masks.defined()) file.write("/masks", {n, h, w}, batch.masks.data<uint8_t>());
  file.write("/channels", channels);
  file.write("/patients", patients);
  file.write("/numbers", numbers);
  file.write("/draws", draws);
  write_parameters(file, params, b.input.sequence_count);
  file.commit();
}

}  // namespace gliograd::cli
