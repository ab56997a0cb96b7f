#include "data/readers/image.hpp"

#include <cstring>

#include "engine/core/atomic_file.hpp"

namespace gliograd::data {
namespace {

constexpr int64_t kLargestSide = 1 << 15;
constexpr int64_t kMostBytes = int64_t{256} << 20;

struct Header {
  int64_t height, width, channels;
  SampleType type;
  uint32_t unused;
};

bool starts_with(const std::vector<uint8_t>& bytes, std::initializer_list<int> magic) {
  size_t at = 0;
  for (const int byte : magic) {
    if (at >= bytes.size() || bytes[at++] != byte) return false;
  }
  return true;
}

}  // namespace

int64_t size_of(SampleType type) {
  return type == SampleType::u8 ? 1 : type == SampleType::u16 ? 2 : 4;
}

const char* name_of(SampleType type) {
  return type == SampleType::u8 ? "8-bit" : type == SampleType::u16 ? "16-bit" : "32-bit";
}

std::string Image::kind() const {
  return std::to_string(width) + "x" + std::to_string(height) + ", " + std::to_string(channels) +
         (channels == 1 ? " channel, " : " channels, ") + name_of(type);
}

void check_image_size(int64_t height, int64_t width, int64_t channels, int64_t sample_bytes) {
  const std::string size = std::to_string(width) + "x" + std::to_string(height) + " pixels of " +
                           std::to_string(channels) + " channels";
  if (height < 1 || width < 1 || channels < 1 || channels > 4) {
    throw Error("damaged: its header says " + size);
  }
  if (height > kLargestSide || width > kLargestSide ||
      height * width > kMostBytes / (channels * sample_bytes)) {
    throw Error("is too large: its header says " + size);
  }
}

Image decode_image(const std::vector<uint8_t>& bytes) {
  if (bytes.empty()) throw Error("is empty");
  if (starts_with(bytes, {'I', 'I', 42, 0}) || starts_with(bytes, {'M', 'M', 0, 42}) ||
      starts_with(bytes, {'I', 'I', 43, 0}) || starts_with(bytes, {'M', 'M', 0, 43})) {
    return decode_tiff(bytes);
  }
  if (starts_with(bytes, {0x89, 'P', 'N', 'G'}) || starts_with(bytes, {0xff, 0xd8, 0xff})) {
    return decode_png_or_jpeg(bytes);
  }
  throw Error("is no TIFF, PNG or JPEG image");
}

void decode_image_request(const std::vector<uint8_t>& bytes, files::Reply& reply) {
  const Image image = decode_image(bytes);
  const Header header{image.height, image.width, image.channels, image.type, 0};
  reply.append(&header, sizeof header);
  reply.append(image.bytes.data(), image.bytes.size());
}

Image ImageDecoder::decode(const std::string& path) { return decode(path, read_bytes(path)); }

Image ImageDecoder::decode(const std::string& name, const std::vector<uint8_t>& bytes) {
  const files::SharedBytes answer = worker_.run("image", name, bytes);
  Header header{};
  if (answer.size < sizeof header) throw Error(name + ": damaged");
  std::memcpy(&header, answer.data.get(), sizeof header);
  Image image{header.height, header.width, header.channels, header.type, {}};
  if (header.type > SampleType::f32) throw Error(name + ": damaged");
  check_image_size(image.height, image.width, image.channels, size_of(image.type));
  const int64_t size = image.height * image.width * image.channels * size_of(image.type);
  if (answer.size != sizeof header + static_cast<size_t>(size)) throw Error(name + ": damaged");
  const uint8_t* pixels = answer.data.get() + sizeof header;
  image.bytes.assign(pixels, pixels + size);
  return image;
}

}  // namespace gliograd::data
