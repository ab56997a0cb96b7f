#include "engine/ops/augment_options.hpp"

#include <algorithm>

#include "engine/core/error.hpp"
#include "engine/ops/augment.hpp"

namespace gliograd {

const std::vector<AugmentField>& augment_fields() {
  using O = AugmentOptions;
  static const std::vector<AugmentField> fields = {
      {"flip-y-probability", &O::flip_y_probability, 0, 1, "top and bottom change places"},
      {"flip-x-probability", &O::flip_x_probability, 0, 1, "left and right change places"},
      {"quarter-turn-probability", &O::quarter_turn_probability, 0, 1,
       "turned by 90, 180 or 270 degrees"},
      {"rotation-probability", &O::rotation_probability, 0, 1, "turned by any angle"},
      {"rotation-degrees", &O::rotation_degrees, 0, 180, "greatest angle, degrees, both ways"},
      {"scale-probability", &O::scale_probability, 0, 1, "larger or smaller"},
      {"scale-percent", &O::scale_percent, 0, 300, "by at most this, per cent, both ways"},
      {"stretch-probability", &O::stretch_probability, 0, 1, "higher and narrower, or the reverse"},
      {"stretch-percent", &O::stretch_percent, 0, 300, "each axis by at most this, per cent"},
      {"shear-probability", &O::shear_probability, 0, 1, "slanted"},
      {"shear-degrees", &O::shear_degrees, 0, 60, "greatest slant, degrees, both ways"},
      {"translation-probability", &O::translation_probability, 0, 1, "moved"},
      {"translation-pixels", &O::translation_pixels, 0, 10000,
       "by at most this on each axis, pixels"},
      {"elastic-probability", &O::elastic_probability, 0, 1, "deformed smoothly"},
      {"elastic-pixels", &O::elastic_pixels, 0, 1000,
       "no pixel is displaced farther on an axis, pixels"},
      {"elastic-spacing-pixels", &O::elastic_spacing_pixels, 4, 10000,
       "distance of the knots of the deformation, pixels"},
      {"brightness-probability", &O::brightness_probability, 0, 1, "brighter or darker"},
      {"brightness-percent", &O::brightness_percent, 0, 1000,
       "by at most this, per cent of the sequence's robust standard deviation"},
      {"contrast-probability", &O::contrast_probability, 0, 1, "contrast about the median"},
      {"contrast-percent", &O::contrast_percent, 0, 1000, "by at most this, per cent, both ways"},
      {"gamma-probability", &O::gamma_probability, 0, 1, "gamma curve that keeps the median"},
      {"gamma-percent", &O::gamma_percent, 0, 400, "exponent from 1 by at most this, per cent"},
      {"bias-probability", &O::bias_probability, 0, 1, "smooth shading, as of a receive coil"},
      {"bias-percent", &O::bias_percent, 0, 90, "by at most this, per cent, both ways"},
      {"rician-probability", &O::rician_probability, 0, 1, "noise of a magnitude image"},
      {"rician-percent", &O::rician_percent, 0, 1000,
       "its standard deviation at most, per cent of the robust one"},
      {"noise-probability", &O::noise_probability, 0, 1, "Gaussian noise"},
      {"noise-percent", &O::noise_percent, 0, 1000,
       "its standard deviation at most, per cent of the robust one"},
      {"blur-probability", &O::blur_probability, 0, 1, "Gaussian blur"},
      {"blur-pixels", &O::blur_pixels, 0, kernels::kMaxBlurPixels,
       "its standard deviation at most, pixels"},
      {"low-resolution-probability", &O::low_resolution_probability, 0, 1,
       "as if scanned with larger pixels"},
      {"low-resolution-factor", &O::low_resolution_factor, 1, kernels::kMaxLowResolutionFactor,
       "larger by at most this factor"},
      {"cutout-probability", &O::cutout_probability, 0, 1, "a square is hidden"},
      {"cutout-percent", &O::cutout_percent, 0, 100, "its side at most, per cent of the window"},
      {"drop-probability", &O::drop_probability, 0, 1,
       "each sequence is left out (one always stays)"},
  };
  return fields;
}

void check_elastic_spacing(float spacing_pixels, const InputSpec& input) {
  const int32_t size = std::max(input.height, input.width);
  const float least = static_cast<float>(size - 1) / (kernels::kMaxKnots - 4);
  GG_CHECK(spacing_pixels >= 4 && spacing_pixels > least,
           "augment: elastic-spacing-pixels must be at least 4, and above ", least,
           " for a window of ", input.height, " by ", input.width, "; got ", spacing_pixels);
}

void check_augment_options(const AugmentOptions& options, const InputSpec& input) {
  for (const AugmentField& field : augment_fields()) {
    const float value = options.*field.member;
    GG_CHECK(value >= field.low && value <= field.high, "augment: ", field.name, " must be ",
             field.low, " to ", field.high, "; got ", value);
  }
  if (options.elastic_probability > 0 && options.elastic_pixels > 0) {
    check_elastic_spacing(options.elastic_spacing_pixels, input);
  }
}

}  // namespace gliograd
