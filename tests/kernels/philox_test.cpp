#include "kernels/philox.hpp"

#include "tests/support/support.hpp"

using namespace gliograd::kernels;

namespace {

bool equal(const PhiloxBlock& block, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return block.word[0] == a && block.word[1] == b && block.word[2] == c && block.word[3] == d;
}

}  // namespace

TEST_CASE("philox: the known answers of Random123 (kat_vectors, philox4x32 10)") {
  CHECK(equal(philox({{0, 0}}, {{0, 0, 0, 0}}), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  const uint32_t f = 0xffffffff;
  CHECK(equal(philox({{f, f}}, {{f, f, f, f}}), 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  CHECK(
      equal(philox({{0xa4093822, 0x299f31d0}}, {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}),
            0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST_CASE("philox: uniform stays inside (0, 1) at both ends") {
  CHECK(uniform(0) > 0.0f);
  CHECK(uniform(0xffffffffu) < 1.0f);
  CHECK(below(0xffffffffu, 7) == 6);
  CHECK(below(0, 7) == 0);
}

TEST_CASE("philox: places that differ anywhere have different counters") {
  const RandomPlace base{
      .position = 5, .layer = 3, .draw = 7, .epoch = 2, .purpose = Purpose::dropout};
  RandomPlace other[5] = {base, base, base, base, base};
  other[0].position = uint64_t{5} + (uint64_t{1} << 32);
  other[1].layer = 4;
  other[2].draw = 8;
  other[3].epoch = 3;
  other[4].purpose = Purpose::augment;
  for (const RandomPlace& place : other) {
    const PhiloxCounter a = counter_of(base), b = counter_of(place);
    CHECK((a.word[0] != b.word[0] || a.word[1] != b.word[1] || a.word[2] != b.word[2] ||
           a.word[3] != b.word[3]));
  }
}
