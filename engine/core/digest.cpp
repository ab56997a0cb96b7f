// Four lanes of 64 bits, each a multiply and a rotation for every 8 bytes (about 4 GB/s), and a
// strong mix of all four at the end.
#include "engine/core/digest.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace gliograd {
namespace {

constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio

/// The finalizer of MurmurHash3 (Appleby), a bijection in which every bit reaches every bit.
uint64_t avalanche(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccd;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53;
  return x ^ (x >> 33);
}

}  // namespace

void Digest::mix(const uint8_t* block) {
  for (size_t i = 0; i < 4; ++i) {
    uint64_t word;
    std::memcpy(&word, block + 8 * i, 8);
    lanes_[i] = std::rotl((lanes_[i] ^ word) * kOdd, 29) + lanes_[i];
  }
}

void Digest::add(const void* bytes, size_t size) {
  const auto* at = static_cast<const uint8_t*>(bytes);
  size_t held = size_ % 32;
  size_ += size;
  while (size > 0) {
    if (held == 0 && size >= 32) {
      mix(at);
      at += 32;
      size -= 32;
      continue;
    }
    const size_t take = std::min(size, 32 - held);
    std::memcpy(block_.data() + held, at, take);
    held += take;
    at += take;
    size -= take;
    if (held == 32) {
      mix(block_.data());
      held = 0;
    }
  }
}

std::string Digest::hex() const {
  Digest last = *this;
  std::fill(last.block_.begin() + static_cast<int64_t>(size_ % 32), last.block_.end(), 0);
  last.mix(last.block_.data());
  uint64_t high = avalanche(size_), low = avalanche(size_ ^ kOdd);
  for (const uint64_t lane : last.lanes_) {
    high = avalanche(high ^ avalanche(lane)) * kOdd;
    low = avalanche(low + std::rotl(avalanche(lane ^ kOdd), 23)) * kOdd;
  }
  std::string text;
  for (const uint64_t half : {high, low}) {
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[half >> shift & 15];
  }
  return text;
}

}  // namespace gliograd
