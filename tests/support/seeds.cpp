#include "tests/support/seeds.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <ostream>
#include <random>
#include <string>

namespace gliograd::test {
namespace {

uint64_t seed_of_run() {
  static const uint64_t seed = [] {
    if (const char* given = std::getenv("GLIOGRAD_TEST_SEED")) {
      return static_cast<uint64_t>(std::strtoull(given, nullptr, 10));
    }
    std::random_device device;
    return static_cast<uint64_t>(device()) << 32 | device();
  }();
  return seed;
}

std::atomic<uint64_t> name_of_case{0};  // its hash
std::atomic<uint64_t> seeds_of_case{0};

// SplitMix64's finalizer (Steele, Lea, Flood 2014): neighbors in, nothing alike out.
uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

struct Listener : doctest::IReporter {
  explicit Listener(const doctest::ContextOptions& options) : out(*options.cout) {}
  void test_case_start(const doctest::TestCaseData& data) override {
    name_of_case = std::hash<std::string>()(data.m_name);
    seeds_of_case = 0;
  }
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    if (stats.failure_flags == 0 || seeds_of_case == 0) return;
    out << "random: GLIOGRAD_TEST_SEED=" << seed_of_run() << " in the environment repeats it\n";
  }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

  std::ostream& out;
};
REGISTER_LISTENER("seeds", 1, Listener);

}  // namespace

uint64_t fresh_seed() {
  return mixed(seed_of_run() + name_of_case + 0x9e3779b97f4a7c15 * ++seeds_of_case);
}

}  // namespace gliograd::test
