#include "data/readers/for_each.hpp"

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/support/support.hpp"

using namespace gliograd;
using test::error_of;

TEST_SUITE("threads") {
  TEST_CASE("for_each_decoding: every piece once, and progress told one call at a time") {
    for (const int threads : {1, 4, 300}) {
      constexpr int64_t kCount = 200;
      std::vector<int> runs(kCount), told;  // plain memory: each piece belongs to one thread
      data::for_each_decoding(
          kCount, threads, [&](int64_t i, data::ImageDecoder&) { ++runs[i]; },
          [&](int64_t done, int64_t total) {
            CHECK(total == kCount);
            told.push_back(static_cast<int>(done));
          });
      CHECK(runs == std::vector<int>(kCount, 1));
      REQUIRE(told.size() == kCount);
      for (int i = 0; i < kCount; ++i) CHECK(told[i] == i + 1);
    }
  }

  TEST_CASE("for_each_decoding: of pieces that throw the first is named and the others counted") {
    std::atomic<int> runs{0};
    const std::string error = error_of([&] {
      data::for_each_decoding(100, 4, [&](int64_t i, data::ImageDecoder&) {
        ++runs;
        if (i % 40 == 7) throw Error("piece " + std::to_string(i) + ": damaged");
      });
    });
    CHECK(error == "piece 7: damaged (and 2 more with errors)");  // 7, 47, 87
    CHECK(runs == 100);
  }

  TEST_CASE("for_each_decoding: work that fails stops the rest") {
    std::atomic<int> runs{0};
    const auto body = [&](int64_t i, data::ImageDecoder&) {
      ++runs;
      if (i == 5) throw WorkError("full");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
    CHECK_THROWS_AS(data::for_each_decoding(5000, 4, body), WorkError);
    CHECK(runs < 5000);
  }
}
