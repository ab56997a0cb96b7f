// What a machine reaches at its best, measured in the same run as what is held against it.
#pragma once
#include <cstdint>

#include "apps/study/progress.hpp"
#include "apps/study/settings.hpp"
#include "engine/device/stream.hpp"

namespace gliograd::study {

/// Bytes read and written a nanosecond, memory to memory, the best of several copies.
double measure_copy(Stream& stream);

/// Operations a nanosecond in this type: the faster of a 1x1 convolution and a linear layer, the
/// best of several.
double measure_product(Stream& stream, DType dtype);

/// Lets `progress` say which share of the device's products training reaches, where `images` are
/// enough that the half second of measuring does not matter, and somebody reads it.
void tell_peak(Progress& progress, const TrainSettings& settings, int threads, int64_t images);

}  // namespace gliograd::study
