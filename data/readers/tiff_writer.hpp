// write_tiff: one 8-bit image as a deflate-compressed TIFF file.
#pragma once
#include <cstdint>
#include <string>

namespace gliograd::data {

/// Writes `pixels` [height, width, channels], channels 1 (gray) or 3 (RGB), in one strip. The file
/// is encoded in memory and put in place by a rename, so under `path` stands a whole file or none.
/// Errors: Error for sizes below 1 or another channel count; WorkError that names `path` when the
/// disk is full or the folder cannot be written.
void write_tiff(const std::string& path, const uint8_t* pixels, int64_t height, int64_t width,
                int64_t channels);

}  // namespace gliograd::data
