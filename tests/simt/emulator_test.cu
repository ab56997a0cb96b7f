// The emulator itself: right kernels give right numbers and no finding, and each planted defect is
// found, by its kind, at its line.
#include <doctest/doctest.h>

#include <numeric>
#include <vector>

#include "tests/simt/buffer.hpp"
#include "tests/simt/planted.cuh"
#include "tests/simt/simt.hpp"

using namespace gliograd;
using namespace gliograd::simt;
using kernels::launch;

namespace {

std::vector<float> counting(size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i % 7);
  return x;
}

std::vector<int> numbers(size_t n) {
  std::vector<int> x(n);
  std::iota(x.begin(), x.end(), 0);
  return x;
}

void expect_nothing() {
  const Report report = take_report();
  INFO(report.text());
  CHECK(report.total == 0);
}

/// One description or more, all of this kind, the first of them holding `part`.
void expect(const std::string& kind, const std::string& part = "planted.cuh:") {
  const Report report = take_report();
  INFO(report.text());
  REQUIRE(!report.findings.empty());
  for (const Finding& finding : report.findings) CHECK(finding.kind == kind);
  CHECK(report.findings[0].text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("emulator: right kernels compute and nothing is found, in any order of blocks") {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    set_options({.seed = seed});
    const std::vector<float> x = counting(4096);
    const Buffer<float> a(x), b(x), y(4096), total(std::vector<float>{0});
    launch({"add_vectors", 4, 128}, {}, add_vectors, a.get(), b.get(), y.get(), 4096, 0);
    const std::vector<float> sums = y.host();
    bool right = true;
    for (size_t i = 0; i < x.size(); ++i) right = right && sums[i] == 2 * x[i];
    CHECK(right);
    launch({"sum", 4, 256}, {}, sum<SumDefect::none>, a.get(), total.get(), 4096);
    CHECK(total.host()[0] == std::accumulate(x.begin(), x.end(), 0.0f));

    std::vector<uint16_t> values(45 * 70);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint16_t>(i);
    const Buffer<uint16_t> in(values), out(values.size());
    launch({"transpose", dim3(3, 2), dim3(32, 8)}, {}, transpose<true>, in.get(), out.get(), 45,
           70);
    const std::vector<uint16_t> turned = out.host();
    right = true;
    for (size_t r = 0; r < 45; ++r) {
      for (size_t c = 0; c < 70; ++c) right = right && turned[c * 45 + r] == values[r * 70 + c];
    }
    CHECK(right);

    const Buffer<int> i(numbers(128)), o(128), blocks(std::vector<int>{0});
    launch({"rotate", 2, 64, 64 * sizeof(int)}, {}, rotate_in_warp<true>, i.get(), o.get());
    const std::vector<int> rotated = o.host();
    right = true;
    for (int k = 0; k < 128; ++k) right = right && rotated[k] == k / 32 * 32 + (k + 1) % 32;
    CHECK(right);
    launch({"reverse64", 1, 64}, {}, reverse64<true>, i.get(), o.get());
    CHECK(o.host()[0] == 63);
    launch({"count_blocks", dim3(5, 3, 2), 33}, {}, count_blocks, blocks.get());
    CHECK(blocks.host()[0] == 30);
    expect_nothing();
  }
}

TEST_CASE("emulator: shuffles, votes and atomics answer as the hardware does") {
  const Buffer<int> out(9 * 32), cells(std::vector<int>{-1, 0});
  launch({"warp_words", 1, 32}, {}, warp_words, out.get(), cells.get());
  const std::vector<int> y = out.host();
  for (int l = 0; l < 32; ++l) {
    const int wanted[] = {5,
                          l / 8 * 8 + 1,
                          l % 16 < 3 ? l : l - 3,
                          l % 16 > 12 ? l : l + 3,
                          l ^ 7,
                          static_cast<int>(0xaaaaaaaa),
                          1,
                          0,
                          1};
    for (int k = 0; k < 9; ++k) CHECK(y[static_cast<size_t>(k * 32 + l)] == wanted[k]);
  }
  CHECK(cells.host() == std::vector<int>{31, 255});
  expect_nothing();
}

TEST_CASE("emulator: a missing block barrier is a race, named with both lines") {
  const Buffer<uint16_t> x(std::vector<uint16_t>(96 * 80, 1)), y(96 * 80);
  launch({"transpose", dim3(3, 3), dim3(32, 8)}, {}, transpose<false>, x.get(), y.get(), 96, 80);
  const Report report = take_report();
  INFO(report.text());
  REQUIRE(report.total > 0);
  bool race = false;
  for (const Finding& finding : report.findings) {
    const size_t first = finding.text.find("planted.cuh:");
    race = race || (finding.kind == "race" && first != std::string::npos &&
                    finding.text.find("planted.cuh:", first + 1) != std::string::npos);
  }
  CHECK(race);
}

TEST_CASE("emulator: a missing __syncwarp is a race, or a read of what nobody wrote") {
  const Buffer<int> x(numbers(128)), y(128);
  launch({"rotate", 2, 64, 64 * sizeof(int)}, {}, rotate_in_warp<false>, x.get(), y.get());
  const Report report = take_report();
  INFO(report.text());
  bool race = false;
  for (const Finding& finding : report.findings) race = race || finding.kind == "race";
  CHECK(race);
}

TEST_CASE("emulator: accesses beyond an allocation, misaligned ones, and host pointers") {
  const std::vector<float> x = counting(4096);
  const Buffer<float> a(x), b(x), y(4096);
  launch({"add_vectors", 4, 128}, {}, add_vectors, a.get(), b.get(), y.get(), 4096, 1);
  expect("bounds", "0 bytes past the end of an allocation of 16384");
  launch({"add_vectors", 4, 128}, {}, add_vectors, a.get() + 1, b.get(), y.get(), 4092, 0);
  expect("alignment");
  launch({"add_vectors", 4, 128}, {}, add_vectors, x.data(), b.get(), y.get(), 4096, 0);
  expect("bounds", "in no device memory");
  const Buffer<int> in(numbers(64)), out(64);
  launch({"reverse64", 1, 64}, {}, reverse64<false>, in.get(), out.get());
  expect("bounds", "index 64");
}

TEST_CASE("emulator: memory that nothing has written, shared and global") {
  const Buffer<float> a(counting(4096)), total(std::vector<float>{0});
  launch({"sum", 4, 256}, {}, sum<SumDefect::unwritten_part>, a.get(), total.get(), 4096);
  expect("uninitialized", "shared memory that nothing has written");
  const Buffer<float> fresh(64), y(64);
  launch({"copy", 2, 32}, {}, copy, fresh.get(), y.get(), 64);
  expect("uninitialized", "device memory that nothing has written");
}

TEST_CASE("emulator: barriers and warp operations that not all come to") {
  const Buffer<float> a(counting(4096)), total(std::vector<float>{0});
  launch({"sum", 4, 256}, {}, sum<SumDefect::early_return>, a.get(), total.get(), 4096);
  const Report early = take_report();
  INFO(early.text());
  bool divergence = false;
  for (const Finding& f : early.findings) divergence = divergence || f.kind == "divergence";
  CHECK(divergence);
  const Buffer<int> y(32);
  launch({"vote_of_half", 1, 32}, {}, vote_of_half, y.get());
  expect("divergence", "waits forever");
  launch({"shuffle_outside", 1, 32}, {}, shuffle_outside, y.get());
  expect("lane", "which is not in the mask");
  launch({"two_barriers", 1, 64}, {}, two_barriers, y.get());
  const Report barriers = take_report();
  INFO(barriers.text());
  bool different = false;
  for (const Finding& f : barriers.findings) {
    different = different || f.text.find("meet at different barriers") != std::string::npos;
  }
  CHECK(different);
}

TEST_CASE("emulator: two blocks that write one number, and two that add to it") {
  const Buffer<int> y(std::vector<int>{0});
  launch({"clash", 2, 32}, {}, clash, y.get());
  expect("race", "another block wrote");
  launch({"count_blocks", 7, 32}, {}, count_blocks, y.get());
  expect_nothing();
}

TEST_CASE("emulator: the last block reads what all have written, if fences and barriers say so") {
  const auto run = [](auto defect, uint64_t seed) {
    set_options({.seed = seed});
    const Buffer<float> x(counting(5 * 64)), partial(5 * 64), out(64);
    const Buffer<unsigned> ticket(std::vector<unsigned>{0});
    const auto kernel = last_block_sums<decltype(defect)::value>;
    for (int launched = 0; launched < 2; ++launched) {
      launch({"last_block_sums", 5, 64}, {}, kernel, x.get(), partial.get(), ticket.get(),
             out.get());
    }
    return out.host();
  };
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const std::vector<float> sums =
        run(std::integral_constant<LastDefect, LastDefect::none>{}, seed);
    const std::vector<float> x = counting(5 * 64);
    for (size_t t = 0; t < 64; ++t) {
      float wanted = 0;
      for (size_t b = 0; b < 5; ++b) wanted += 2 * x[b * 64 + t];
      CHECK(sums[t] == wanted);
    }
    expect_nothing();
    const Buffer<float> one(x), partial(5), out(1);
    const Buffer<unsigned> ticket(std::vector<unsigned>{0});
    launch({"last_thread_sum", 5, 32}, {}, last_thread_sum, one.get(), partial.get(), ticket.get(),
           out.get());
    CHECK(out.host()[0] == 2 * (0 + 1 + 2 + 3 + 4));
    expect_nothing();
    const auto finds_race = [&](auto defect) {
      run(defect, seed);
      expect("race", "another block wrote");
    };
    finds_race(std::integral_constant<LastDefect, LastDefect::no_barrier>{});
    finds_race(std::integral_constant<LastDefect, LastDefect::no_fence>{});
    finds_race(std::integral_constant<LastDefect, LastDefect::early_fence>{});
    finds_race(std::integral_constant<LastDefect, LastDefect::late_write>{});
    finds_race(std::integral_constant<LastDefect, LastDefect::no_second_fence>{});
  }
}

TEST_CASE("emulator: launches that hardware refuses fail and name the kernel") {
  const Buffer<int> y(std::vector<int>{0});
  CHECK_THROWS_WITH_AS(launch({"clash", 1, 1025}, {}, clash, y.get()),
                       doctest::Contains("clash: launch of grid (1,1,1), block (1025,1,1)"),
                       kernels::DeviceError);
  CHECK_THROWS_AS(launch({"clash", 0, 32}, {}, clash, y.get()), kernels::DeviceError);
  CHECK_THROWS_AS(launch({"clash", 1, 32, 1 << 20}, {}, clash, y.get()), kernels::DeviceError);
  expect_nothing();
}

TEST_CASE("emulator: a finding is described once for a pair of lines, and counted always") {
  const Buffer<float> fresh(256), y(256);
  launch({"copy", 8, 32}, {}, copy, fresh.get(), y.get(), 256);
  const Report report = take_report();
  CHECK(report.findings.size() == 1);
  CHECK(report.total == 256);
}
