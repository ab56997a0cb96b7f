#include "engine/core/log.hpp"

#include <algorithm>
#include <thread>

#include "tests/support/support.hpp"

using namespace gliograd;

TEST_CASE("log: lines of several threads come one at a time and all of them" *
          doctest::test_suite("threads")) {
  std::vector<std::pair<LogLevel, std::string>> lines;  // no lock of its own: the log has one
  set_log_sink([&](LogLevel level, const std::string& line) { lines.emplace_back(level, line); });
  std::vector<std::thread> team;
  for (int t = 0; t < 4; ++t) {
    team.emplace_back([t] {
      for (int i = 0; i < 100; ++i) {
        const std::string line = std::to_string(t) + ":" + std::to_string(i);
        if (i % 2 == 0) {
          log_info(line);
        } else {
          log_warning(line);
        }
      }
    });
  }
  for (std::thread& thread : team) thread.join();
  set_log_sink({});
  REQUIRE(lines.size() == 400);
  CHECK(std::count_if(lines.begin(), lines.end(),
                      [](const auto& line) { return line.first == LogLevel::warning; }) == 200);
  std::sort(lines.begin(), lines.end());
  CHECK(std::adjacent_find(lines.begin(), lines.end()) == lines.end());
}
