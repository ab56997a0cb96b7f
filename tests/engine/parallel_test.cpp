#include "engine/core/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("parallel_for: every index once, in at most `threads` contiguous chunks") {
  for (const int threads : {1, 2, 3, 7}) {
    for (const int64_t n : {0, 1, 2, 6, 100, 1001}) {
      for (const int64_t grain : {0, 1, 10, 2000}) {
        std::vector<int> hits(n, 0);
        std::atomic<int> chunks{0};
        parallel_for(threads, n, grain, [&](int64_t begin, int64_t end) {
          ++chunks;
          for (int64_t i = begin; i < end; ++i) ++hits[i];
        });
        CHECK(std::count(hits.begin(), hits.end(), 1) == n);
        CHECK(chunks <= threads);
        CHECK((n == 0) == (chunks == 0));
        if (n > 0 && n < 2 * grain) CHECK(chunks == 1);
      }
    }
  }
}

TEST_CASE("parallel_for: an error of any chunk comes out, after all have ended") {
  for (const int threads : {1, 3}) {
    for (int64_t bad = 0; bad < 3; ++bad) {
      std::atomic<int64_t> done{0};
      CHECK(error_of([&] {
              parallel_for(threads, 3, 1, [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                  if (i == bad) throw Error("chunk of " + std::to_string(i));
                  ++done;
                }
              });
            }) == "chunk of " + std::to_string(bad));
      if (threads == 3) CHECK(done == 2);
    }
  }
}
