// A process that was interrupted stays so: the real test runs in a process of its own.
#include "engine/core/interrupt.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "tests/support/support.hpp"

using namespace gliograd;

TEST_CASE("interrupt child: threads that look at the flag stop at the first signal" *
          doctest::skip()) {
  watch_for_interrupt();
  CHECK_FALSE(interrupted());
  CHECK_NOTHROW(stop_if_interrupted());
  std::atomic<int> waiting{0}, stopped{0};
  std::vector<std::thread> team;
  for (int t = 0; t < 3; ++t) {
    team.emplace_back([&] {
      ++waiting;
      for (int i = 0; i < 20000; ++i) {  // 20 s at least, then the test fails
        try {
          stop_if_interrupted();
        } catch (const Interrupted&) {
          ++stopped;
          return;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  while (waiting < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(stopped == 0);
  REQUIRE(kill(getpid(), SIGTERM) == 0);
  for (std::thread& thread : team) thread.join();
  CHECK(stopped == 3);
  CHECK(interrupted());
}

TEST_CASE("interrupt: one signal stops all threads" * doctest::test_suite("threads")) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const test::CommandResult result =
      test::run_command({self, "-tc=interrupt child:*", "--no-skip", "--no-intro"});
  INFO(result.out, result.err);
  CHECK(result.code == 0);
  CHECK(test::contains(result.out, "1 | 1 passed"));
}
