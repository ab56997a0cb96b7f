// The leak guard inside a fold: no slice of a test patient may be drawn for training.
#pragma once
#include <cstdint>
#include <vector>

#include "data/dataset.hpp"

namespace gliograd::study {

/// Errors: Error that names the patient and the slice when one of `draws` (slice indices) belongs
/// to one of `test` (patients).
void check_draws(const data::Dataset& set, const std::vector<int32_t>& draws,
                 const std::vector<int32_t>& test);

}  // namespace gliograd::study
