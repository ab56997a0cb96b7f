// Values of the emulated GPU's memory, for what stands in for a vendor's library.
#pragma once
#include <bit>
#include <vector>

#include "kernels/half.hpp"
#include "tests/simt/simt.hpp"

namespace gliograd::simt {

/// n values of f32, bf16 or f16.
inline std::vector<float> read_values(const void* device, int64_t n, DType dtype) {
  std::vector<float> out(static_cast<size_t>(n));
  if (dtype == DType::f32) {
    copy_out(out.data(), device, out.size() * sizeof(float));
    return out;
  }
  std::vector<uint16_t> bits(out.size());
  copy_out(bits.data(), device, bits.size() * sizeof(uint16_t));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = dtype == DType::bf16 ? to_float(bf16{bits[i]}) : to_float(f16{bits[i]});
  }
  return out;
}

/// To TF32: ten bits behind the leading one, ties to even.
inline void round_to_tf32(std::vector<float>& values) {
  for (float& v : values) {
    uint32_t bits = std::bit_cast<uint32_t>(v);
    bits += 0xfff + (bits >> 13 & 1);
    v = std::bit_cast<float>(bits & ~0x1fffu);
  }
}

/// Rounded to the type.
inline void write_values(void* device, const std::vector<float>& values, DType dtype) {
  if (dtype == DType::f32) {
    copy_in(device, values.data(), values.size() * sizeof(float));
    return;
  }
  std::vector<uint16_t> bits;
  for (const float v : values)
    bits.push_back(dtype == DType::bf16 ? to_bf16(v).bits : to_f16(v).bits);
  copy_in(device, bits.data(), bits.size() * sizeof(uint16_t));
}

}  // namespace gliograd::simt
