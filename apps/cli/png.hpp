// The one place that encodes PNG: contact sheets and the report's pictures.
#pragma once
#include <cstdint>
#include <vector>

namespace gliograd::cli {

/// A PNG file of `pixels` [height, width, channels], 8 bits each; 1 channel is gray, 3 are RGB.
/// Errors: Error when the count does not fit the shape, WorkError when it cannot be encoded.
std::vector<uint8_t> encode_png(const std::vector<uint8_t>& pixels, int64_t height, int64_t width,
                                int64_t channels);

}  // namespace gliograd::cli
