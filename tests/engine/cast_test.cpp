#include "engine/tensor/cast.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

// The value of 16 bits by the formats' definition, sharing nothing with the conversions.
double value_of(uint16_t bits, int fraction_bits) {
  const int exponent_bits = 15 - fraction_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return fraction != 0 ? NAN : sign * INFINITY;
  const double significand = std::ldexp(fraction, -fraction_bits) + (exponent != 0 ? 1 : 0);
  return sign * std::ldexp(significand, std::max(exponent, 1) - bias);
}

float next(float x, float to) { return std::nextafter(x, to); }
double next(double x, double to) { return std::nextafter(x, to); }

// Of one 16-bit format: every value there and back, and what lies between two neighbors.
template <class Half, class T, class To>
void check_format(int fraction_bits, const To& to) {
  const uint16_t infinity =
      static_cast<uint16_t>(((1 << (15 - fraction_bits)) - 1) << fraction_bits);
  int64_t wrong = 0;
  for (uint32_t sign : {0u, 0x8000u}) {
    for (uint32_t low = 0; low < 0x8000u; ++low) {
      const auto bits = static_cast<uint16_t>(sign | low);
      const float x = to_float(Half{bits});
      const double exact = value_of(bits, fraction_bits);
      if (std::isnan(exact)) {
        wrong += !std::isnan(x) || !std::isnan(to_float(to(static_cast<T>(x))));
        continue;
      }
      wrong += static_cast<double>(x) != exact || std::signbit(x) != (sign != 0);
      wrong += to(static_cast<T>(exact)).bits != bits;
      if (low >= infinity) continue;
      // The neighbor further out; beyond the largest, where it would be: halfway there is infinite.
      const double step =
          std::abs(value_of(static_cast<uint16_t>(low), fraction_bits) -
                   value_of(static_cast<uint16_t>(low == 0 ? 1 : low - 1), fraction_bits));
      const double outward = low + 1 < infinity
                                 ? value_of(static_cast<uint16_t>(bits + 1), fraction_bits)
                                 : exact + (sign ? -step : step);
      const T middle = static_cast<T>((exact + outward) / 2);
      const auto up = static_cast<uint16_t>(bits + 1), even = low % 2 == 0 ? bits : up;
      wrong += to(middle).bits != even;
      wrong += to(next(middle, T(0))).bits != bits;
      wrong += to(next(middle, static_cast<T>(outward))).bits != up;
    }
  }
  CHECK(wrong == 0);
  CHECK(to(std::numeric_limits<T>::max()).bits == infinity);
  CHECK(to(-std::numeric_limits<T>::infinity()).bits == (0x8000 | infinity));
}

}  // namespace

TEST_CASE("cast: all values of both 16-bit formats, and everything between, to nearest even") {
  check_format<bf16, float>(7, [](float x) { return to_bf16(x); });
  check_format<bf16, double>(7, [](double x) { return to_bf16(x); });
  check_format<f16, float>(10, [](float x) { return to_f16(x); });
  check_format<f16, double>(10, [](double x) { return to_f16(x); });
}

TEST_CASE("cast: NaN stays NaN whatever its payload and sign") {
  for (const uint32_t payload : {1u, 0x1fffu, 0xffffu, 0x10000u, 0x400000u, 0x7fffffu}) {
    for (const uint32_t sign : {0u, 0x80000000u}) {
      const float nan = std::bit_cast<float>(sign | 0x7f800000u | payload);
      CHECK(std::isnan(to_float(to_bf16(nan))));
      CHECK(std::isnan(to_float(to_f16(nan))));
    }
  }
  CHECK(std::isnan(to_float(to_bf16(static_cast<double>(NAN)))));
  CHECK(std::isnan(to_float(to_f16(static_cast<double>(NAN)))));
}

TEST_CASE("cast: from f64 there is one rounding, not two") {
  // 1 + 2^-8 + 2^-40: by way of f32 it would be a tie, and that goes down to 1.
  const double above = 1 + 0x1p-8 + 0x1p-40;
  CHECK(to_float(to_bf16(above)) == 1 + 0x1p-7);
  CHECK(to_float(to_bf16(-above)) == -1 - 0x1p-7);
  CHECK(to_float(to_f16(1 + 0x1p-11 + 0x1p-40)) == 1 + 0x1p-10);
  CHECK(to_float(to_f16(1 + 3 * 0x1p-11 - 0x1p-40)) == 1 + 0x1p-10);
  CHECK(to_float(to_f16(0x1p-25 + 0x1p-60)) == 0x1p-24);  // above half of the least subnormal
  CHECK(to_float(to_bf16(5e-324)) == 0);
  const Tensor x = tensor({2}, {above, -above});
  CHECK(values(cast(x, DType::bf16)) == std::vector{1 + 0x1p-7, -1 - 0x1p-7});
}

TEST_CASE("cast: whole tensors of every pair of floating types, odd sizes, several threads") {
  const std::vector<DType> types = {DType::f64, DType::f32, DType::bf16, DType::f16};
  std::vector<double> v(70001);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(i % 127) - 63;  // all hold these
  for (const DType from : types) {
    for (const DType to : types) {
      const Tensor x = tensor({70001}, v, from);
      CHECK(cast(x, to, 3).dtype == to);
      CHECK(values(cast(x, to, 3)) == v);
      Tensor sum = cast(x, to, 1);
      if (from == to) continue;  // the same handle
      add_into(sum, x, 3);
      CHECK(values(sum)[64] == 2);
      CHECK(values(sum)[70000] == 2 * v[70000]);
    }
  }
  CHECK(contains(error_of([&] { cast(tensor({1}, {1}, DType::i32), DType::f32); }),
                 "cast: only between floating types; got i32 to f32"));
  Tensor two = tensor({2}, {1, 2});
  CHECK(contains(error_of([&] {
                   add_into(two, tensor({3}, {1, 2, 3}));
                 }),
                 "add_into: shapes and layouts must agree; got [2] and [3]"));
}
