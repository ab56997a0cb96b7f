// A prepared set of noise, for benches and profiles: the work of gathering, augmenting and training
// on a slice does not depend on what it shows.
#pragma once
#include <cstdint>
#include <random>

#include "data/dataset.hpp"
#include "engine/core/error.hpp"

namespace gliograd::data {

/// Three sequences and the mask; `slices` of them, spread evenly over `patients`. The stored
/// windows leave a margin of 24 pixels around a cut of `cut`, as `prepare` keeps 128 for the
/// default of 80.
inline Dataset noise_set(int64_t slices, int64_t patients, int64_t cut) {
  Dataset set;
  set.name = "noise";
  set.slices_count = slices;
  set.height = set.width = cut + 48;
  set.channels = {"pre", "flair", "post"};
  set.images.resize(slices * set.height * set.width * 3);
  set.masks.resize(slices * set.height * set.width);
  std::mt19937 random(1);
  for (uint8_t& value : set.images) value = static_cast<uint8_t>(random() >> 24);
  for (uint8_t& value : set.masks) value = static_cast<uint8_t>(random() >> 31);
  for (int64_t p = 0; p < patients; ++p) {
    Patient patient;
    patient.id = concat_text("patient-", 1000 + p);
    patient.present = {1, 1, 1};
    patient.affine.assign(3, {1.0F / 64, -2.0F});
    set.patients.push_back(patient);
  }
  for (int64_t n = 0; n < slices; ++n) {
    Slice slice;
    slice.patient = static_cast<int32_t>(n * patients / slices);
    slice.number = static_cast<int32_t>(n);
    slice.area = 100;
    set.slices.push_back(slice);
  }
  return set;
}

}  // namespace gliograd::data
