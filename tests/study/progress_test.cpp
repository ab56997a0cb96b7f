#include "apps/study/progress.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "tests/support/support.hpp"

using namespace gliograd;
using test::contains;

TEST_CASE("progress: durations in words") {
  CHECK(study::duration_text(0) == "0 s");
  CHECK(study::duration_text(59.4) == "59 s");
  CHECK(study::duration_text(60) == "1 min 00 s");
  CHECK(study::duration_text(3599.7) == "1 h 00 min");
  CHECK(study::duration_text(3720) == "1 h 02 min");
  CHECK(study::duration_text(-1) == "0 s");
}

TEST_CASE("progress: what several threads do adds up" * doctest::test_suite("threads")) {
  const test::TempDir folder;
  const std::string path = folder / "err";
  std::fflush(stderr);
  const int before = dup(2), file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(before >= 0);
  REQUIRE(file >= 0);
  dup2(file, 2);
  {
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
  }
  std::fflush(stderr);
  dup2(before, 2);
  close(before);
  close(file);
  const std::string text = test::read_file(path);
  CHECK(contains(text, "folds 100 %  "));
  CHECK(contains(text, "images/s, in "));
  CHECK(text.find("100 %") == text.rfind("100 %"));
}
