#include "kernels/cpu/product.hpp"

#include <cmath>
#include <random>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;
using namespace gliograd::kernels;

namespace {

std::vector<float> random_floats(size_t n, std::mt19937_64& generator) {
  std::vector<float> values(n);
  for (float& v : values) {
    v = static_cast<float>(static_cast<double>(generator() >> 11) * 0x1p-52 - 1);
  }
  return values;
}

int64_t between(std::mt19937_64& generator, int64_t least, int64_t most) {
  return least + static_cast<int64_t>(generator() % static_cast<uint64_t>(most - least + 1));
}

// The kernels of this machine.
std::vector<const ProductKernel*> machine_kernels() {
  std::vector<const ProductKernel*> list;
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (const ProductKernel* kernel = product_kernel(isa)) {
      list.push_back(kernel);
    } else {
      skip(std::string("product on ") + name_of(isa), "this machine does not run it");
    }
  }
  return list;
}

// One random product against the formula in f64. c lies in a larger array, and what stands around
// it must stay.
void check_random(const ProductKernel& kernel, std::mt19937_64& generator, int64_t m, int64_t n) {
  const int64_t outer = between(generator, 1, 3), inner = between(generator, 1, 9);
  const int64_t k = outer * inner, a_k = between(generator, 1, 3);
  const int64_t a_row = between(generator, 0, 5), b_row = n + between(generator, 0, 3);
  const int64_t c_row = n + 2;
  const bool packed = generator() % 2, start = generator() % 2, accumulate = generator() % 2;
  std::vector<int64_t> offsets;
  for (int64_t o = 0; o < outer; ++o) offsets.push_back(between(generator, 0, 20));
  const auto a = random_floats(21 + m * a_row + inner * a_k, generator);
  // Not one float more than the product may read: the sanitizer sees a step beyond.
  const auto b = random_floats((k - 1) * b_row + n, generator), bias = random_floats(n, generator);
  const auto before = random_floats(m * c_row, generator);
  std::vector<float> c = before, panels(packed_size(kernel, k, n));
  Product p{.m = m,
            .n = n,
            .outer = outer,
            .offsets = offsets.data(),
            .inner = inner,
            .a = a.data(),
            .a_row = a_row,
            .a_k = a_k,
            .b = b.data(),
            .b_k = b_row,
            .b_panel = kernel.panel(n),
            .c = c.data(),
            .c_row = c_row,
            .start = start ? bias.data() : nullptr,
            .accumulate = accumulate};
  if (packed) {
    pack(kernel, b.data(), b_row, 1, k, n, panels.data());
    p.b = panels.data(), p.b_k = kernel.panel(n), p.b_panel = k * p.b_k;
  }
  product(kernel, p);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < c_row; ++j) {
      const int64_t at = i * c_row + j;
      if (j >= n) {
        REQUIRE(c[at] == before[at]);
        continue;
      }
      double sum = (start ? bias[j] : 0.0) + (accumulate ? before[at] : 0.0);
      for (int64_t o = 0; o < outer; ++o)
        for (int64_t q = 0; q < inner; ++q)
          sum += static_cast<double>(a[offsets[o] + i * a_row + q * a_k]) *
                 b[(o * inner + q) * b_row + j];
      INFO(name_of(kernel.isa), ": ", m, " x ", n, ", k ", k, ", at ", i, ", ", j);
      REQUIRE(std::abs(c[at] - sum) <= 3e-6 * static_cast<double>(k));
    }
  }
}

}  // namespace

TEST_CASE("product: every tile of every instruction set agrees with the formula") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 generator(seed);
  for (const ProductKernel* kernel : machine_kernels()) {
    for (int64_t m = 1; m <= kernel->rows_small + 2; ++m) {
      for (int64_t n = 1; n <= 4 * kernel->width + 3; ++n) check_random(*kernel, generator, m, n);
    }
  }
}

TEST_CASE("product: two by two by hand") {  // [1 2; 3 4] [5 6; 7 8] = [19 22; 43 50]
  const float a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8};
  for (const ProductKernel* kernel : machine_kernels()) {
    std::vector<float> c(4);
    product(*kernel, {.m = 2,
                      .n = 2,
                      .inner = 2,
                      .a = a,
                      .a_row = 2,
                      .b = b,
                      .b_k = 2,
                      .b_panel = kernel->panel(2),
                      .c = c.data(),
                      .c_row = 2});
    CHECK(c == std::vector<float>{19, 22, 43, 50});
  }
}

TEST_CASE("product: a NaN reaches the values that it belongs to, and no other") {
  for (const ProductKernel* kernel : machine_kernels()) {
    std::vector<float> a(3 * 4, 1), b(4 * 5, 1), c(3 * 5);
    a[1 * 4 + 2] = NAN;  // row 1
    b[3 * 5 + 4] = NAN;  // column 4
    product(*kernel, {.m = 3,
                      .n = 5,
                      .inner = 4,
                      .a = a.data(),
                      .a_row = 4,
                      .b = b.data(),
                      .b_k = 5,
                      .b_panel = kernel->panel(5),
                      .c = c.data(),
                      .c_row = 5});
    for (int64_t i = 0; i < 3; ++i)
      for (int64_t j = 0; j < 5; ++j) CHECK(std::isnan(c[i * 5 + j]) == (i == 1 || j == 4));
  }
}

TEST_CASE("product: packing pads panels with zeros, from rows and from columns") {
  const ProductKernel& kernel = *product_kernel(Isa::portable);  // panels of 8 for 9 columns
  std::vector<float> b(2 * 9), turned(9 * 2);
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 9; ++j) {
      b[i * 9 + j] = turned[j * 2 + i] = static_cast<float>(10 * i + j + 1);
    }
  REQUIRE(packed_size(kernel, 2, 9) == 32);
  std::vector<float> rows(32, -1), columns(32, -1);
  pack(kernel, b.data(), 9, 1, 2, 9, rows.data());
  pack(kernel, turned.data(), 1, 2, 2, 9, columns.data());
  CHECK(rows == columns);
  CHECK(rows[0] == 1);       // panel 0, row 0
  CHECK(rows[8] == 11);      // panel 0, row 1
  CHECK(rows[16] == 9);      // panel 1, row 0
  CHECK(rows[24] == 19);     // panel 1, row 1
  CHECK(rows[16 + 1] == 0);  // beyond column 8
}

TEST_CASE("product: the best instruction set is taken") {
  CHECK(product_kernel().isa == machine_kernels().back()->isa);
}
