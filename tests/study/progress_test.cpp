#include "apps/study/progress.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "tests/support/support.hpp"

using namespace gliograd;
using test::contains;

namespace {

// What `work` writes to standard error.
template <class Work>
std::string said(const Work& work) {
  const test::TempDir folder;
  const std::string path = folder / "err";
  std::fflush(stderr);
  const int before = dup(2), file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(before >= 0);
  REQUIRE(file >= 0);
  dup2(file, 2);
  work();
  std::fflush(stderr);
  dup2(before, 2);
  close(before);
  close(file);
  return test::read_file(path);
}

}  // namespace

TEST_CASE("progress: durations in words") {
  CHECK(study::duration_text(0) == "0 s");
  CHECK(study::duration_text(59.4) == "59 s");
  CHECK(study::duration_text(60) == "1 min 00 s");
  CHECK(study::duration_text(3599.7) == "1 h 00 min");
  CHECK(study::duration_text(3720) == "1 h 02 min");
  CHECK(study::duration_text(-1) == "0 s");
}

TEST_CASE("progress: the share of the peak is of what was told, and only where a peak is known") {
  const auto last_line = [](double peak) {
    return said([&] {
      study::Progress progress("train", 100, "images");
      if (peak > 0) progress.set_peak(peak);
      progress.advance(100, 1e18);
      progress.finish();
    });
  };
  CHECK(contains(last_line(1e30), "images/s, 0 % of the measured peak, in 0 s"));
  CHECK_FALSE(contains(last_line(0), "peak"));
}

TEST_CASE("progress: what several threads do adds up" * doctest::test_suite("threads")) {
  const std::string text = said([] {
    study::Progress progress("folds", 4100, "images");
    std::vector<std::thread> team;
    for (int t = 0; t < 4; ++t) {
      team.emplace_back([&progress, t] {
        progress.skip(25);
        for (int i = 0; i < 500; ++i) {
          progress.advance(2);
          if (i % 100 == 0) progress.note("fold " + std::to_string(t));
        }
      });
    }
    for (std::thread& thread : team) thread.join();
    progress.finish();
    progress.finish();  // once is enough
  });
  CHECK(contains(text, "folds 100 %  "));
  CHECK(contains(text, "images/s, in "));
  CHECK(text.find("100 %") == text.rfind("100 %"));
}
