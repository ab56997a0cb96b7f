// A 128-bit digest of bytes: tells one preparation, configuration or file from another. Against
// accidents, not against an adversary.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gliograd {

/// Depends on the bytes and on nothing else: add("ab") is add("a") then add("b").
class Digest {
 public:
  void add(const void* bytes, size_t size);
  void add(std::string_view text) { add(text.data(), text.size()); }
  /// 32 hexadecimal digits of all that was added so far.
  std::string hex() const;

 private:
  void mix(const uint8_t* block);

  std::array<uint64_t, 4> lanes_{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0,
                                 0x082efa98ec4e6c89};  // digits of pi
  std::array<uint8_t, 32> block_{};
  uint64_t size_ = 0;
};

}  // namespace gliograd
