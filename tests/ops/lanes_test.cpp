// bf16 in vector registers, and whole tensors of it: the bits of the scalar conversions.
#include "engine/ops/lanes.hpp"

#include <bit>
#include <cmath>
#include <random>

#include "engine/tensor/cast.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

// All values of 16 bits, their ties, and noise of every exponent, NaN and infinity among it.
std::vector<float> all_kinds(uint64_t seed) {
  std::vector<float> values;
  for (uint32_t high = 0; high < 1u << 16; ++high) {
    for (const uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      values.push_back(std::bit_cast<float>(high << 16 | low));
    }
  }
  std::mt19937 generator(static_cast<uint32_t>(seed));
  for (int i = 0; i < 1 << 16; ++i) {
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(generator())));
  }
  return values;
}

bool same(bf16 a, float x) {
  const bf16 wanted = to_bf16(x);
  return std::isnan(x) ? std::isnan(to_float(a)) : a.bits == wanted.bits;
}

}  // namespace

TEST_CASE("lanes: bf16 is stored as the scalar conversion rounds, and loaded exactly") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  const std::vector<float> values = all_kinds(seed);
  int wrong = 0;
  for (size_t i = 0; i + 16 <= values.size(); i += 16) {
    lanes::F32x16 v, back;
    bf16 stored[17] = {};
    stored[16].bits = 0x1234;
    lanes::load(v, values.data() + i);
    lanes::store(stored, v);
    lanes::load(back, stored);
    float loaded[16];
    lanes::store(loaded, back);
    for (size_t k = 0; k < 16; ++k) {
      if (!same(stored[k], values[i + k])) ++wrong;
      if (std::bit_cast<uint32_t>(loaded[k]) != static_cast<uint32_t>(stored[k].bits) << 16) {
        ++wrong;
      }
    }
    CHECK(stored[16].bits == 0x1234);
  }
  CHECK(wrong == 0);
}

TEST_CASE("lanes: the first few of bf16 alone are read and written, the others zero") {
  for (int64_t width = 1; width <= 16; ++width) {
    bf16 from[16], to[16];
    for (int i = 0; i < 16; ++i) {
      from[i] = to_bf16(static_cast<float>(i + 1));
      to[i].bits = 0x4321;
    }
    lanes::F32x16 v;
    lanes::load(v, from, width);
    float wide[16];
    lanes::store(wide, v);
    lanes::store(to, v, width);
    for (int i = 0; i < 16; ++i) {
      CHECK(wide[i] == (i < width ? static_cast<float>(i + 1) : 0.0f));
      CHECK(to[i].bits == (i < width ? from[i].bits : 0x4321));
    }
  }
}

TEST_CASE("lanes: a tensor cast to bf16 holds what its elements give one by one") {
  const std::vector<float> values = all_kinds(5);
  Tensor x = empty(cpu_stream(), {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), x.data<float>());
  const Tensor half = cast(x, DType::bf16, 2), wide = cast(half, DType::f32, 2);
  int wrong = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const bf16 h = half.at<bf16>(static_cast<int64_t>(i));
    const float w = wide.at<float>(static_cast<int64_t>(i));
    if (!same(h, values[i])) ++wrong;
    if (std::bit_cast<uint32_t>(w) != static_cast<uint32_t>(h.bits) << 16) ++wrong;
  }
  CHECK(wrong == 0);
}
