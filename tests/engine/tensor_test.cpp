#include "engine/tensor/tensor.hpp"

#include <cmath>
#include <functional>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("shape: overflow, rank and negative axes are refused") {
  CHECK(contains(error_of([] { Shape({int64_t{1} << 40, int64_t{1} << 40}); }), "overflows"));
  CHECK(contains(error_of([] { Shape({1, 1, 1, 1, 1, 1}); }), "at most 5 axes"));
  CHECK(contains(error_of([] { Shape({-1}); }), "must not be negative"));
  CHECK(to_string(Shape{2, 3}) == "[2, 3]");
  CHECK(Shape{2, 3}.dim(-1) == 3);
}

TEST_CASE("tensor: what no memory holds, and what has none, are errors and no crash") {
  CHECK(contains(error_of([] { empty(cpu_stream(), {int64_t{1} << 61}, DType::f64); }),
                 "no memory holds f64 [2305843009213693952]"));
  Tensor none;
  for (const auto& use : std::vector<std::function<void()>>{
           [&] { empty_like(none); }, [&] { zeros_like(none); }, [&] { to_values(none); },
           [&] { fill_zero(none); }, [&] { empty_like(none, {3}); }}) {
    CHECK(contains(error_of(use), "tensor: undefined"));
  }
}

TEST_CASE("tensor: whole numbers that a type cannot hold are refused") {
  const auto error = [](double value, DType dtype) {
    return error_of([&] { from_values(cpu_stream(), {1}, {value}, dtype); });
  };
  CHECK(contains(error(256, DType::u8), "from_values: u8 cannot hold 256"));
  CHECK(contains(error(-1, DType::u8), "u8 cannot hold -1"));
  CHECK(contains(error(NAN, DType::i32), "i32 cannot hold nan"));
  CHECK(contains(error(0x1p31, DType::i32), "i32 cannot hold"));
  CHECK(contains(error(0x1p63, DType::i64), "i64 cannot hold"));
  CHECK(values(tensor({2}, {-0x1p31, 0x1p31 - 1}, DType::i32)) == std::vector{-0x1p31, 0x1p31 - 1});
  CHECK(values(tensor({1}, {-0x1p63}, DType::i64)) == std::vector{-0x1p63});
  CHECK(values(tensor({2}, {0, 255}, DType::u8)) == std::vector{0.0, 255.0});
}

TEST_CASE("tensor: elements are handed out in their own type alone") {
  const Tensor x = tensor({1}, {1}, DType::f32);
  CHECK(contains(error_of([&] { x.data<double>(); }), "elements are f32, asked for as f64"));
  CHECK(contains(error_of([&] { x.reshaped({2}); }), "reshape: [1] has 1 elements, [2] has 2"));
  const Tensor y = x;  // a handle
  y.at<float>(0) = 5;
  CHECK(x.at<float>(0) == 5);
  CHECK_FALSE(x.unique());
}
