// Images in memory, and the decoders that fill them. Which decoder is told by the first bytes of a
// file, never by its name.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/files/worker.hpp"

namespace gliograd::data {

/// Integers of up to 16 bits stay what they are, wider ones and floats become f32.
enum class SampleType : uint32_t { u8, u16, f32 };
int64_t size_of(SampleType type);
/// "8-bit"
const char* name_of(SampleType type);

struct Image {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;  // 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA
  SampleType type = SampleType::u8;
  std::vector<uint8_t> bytes;  // [height, width, channels] of that type

  const float* f32() const { return reinterpret_cast<const float*>(bytes.data()); }
  const uint16_t* u16() const { return reinterpret_cast<const uint16_t*>(bytes.data()); }
  /// "256x256, 3 channels, 8-bit"
  std::string kind() const;
};

/// TIFF (any codec of libtiff; gray, RGB, RGBA, palette; 1 to 32 bits), PNG or JPEG, in this
/// process. Errors: Error without the file's name: empty, of no known kind, damaged, or larger than
/// 32768 pixels a side or 256 MiB in all (looked at before memory is taken).
Image decode_image(const std::vector<uint8_t>& bytes);
Image decode_tiff(const std::vector<uint8_t>& bytes);
Image decode_png_or_jpeg(const std::vector<uint8_t>& bytes);
/// Throws that Error for sizes that cannot be.
void check_image_size(int64_t height, int64_t width, int64_t channels, int64_t sample_bytes);

/// The worker's answer to a request of kind "image".
void decode_image_request(const std::vector<uint8_t>& bytes, files::Reply& reply);

/// Decodes in a worker process.
class ImageDecoder {
 public:
  explicit ImageDecoder(const files::WorkerLimits& limits = {}) : worker_(limits) {}
  /// Errors: Error "PATH: ...".
  Image decode(const std::string& path);
  Image decode(const std::string& name, const std::vector<uint8_t>& bytes);
  pid_t process() const { return worker_.process(); }

 private:
  files::Worker worker_;
};

}  // namespace gliograd::data
