#include "engine/device/machine.hpp"

#include <sched.h>

#include <fstream>
#include <sstream>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

#if defined(__x86_64__)
// The kernel's own reading of the same processor, which resumption compared in older run folders.
TEST_CASE("machine: the kind is the vendor and the flags of /proc/cpuinfo") {
  std::ifstream in("/proc/cpuinfo");
  std::string line, vendor, flags;
  while (std::getline(in, line) && !line.empty()) {  // the first processor
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    if (line.rfind("vendor_id", 0) == 0) vendor = line.substr(colon + 2);
    if (line.rfind("flags", 0) == 0) flags = " " + line.substr(colon + 2) + " ";
  }
  if (vendor.empty() || flags.empty()) {
    skip("machine: the kind", "/proc/cpuinfo names no vendor or no flags");
    return;
  }
  std::string expected = vendor;
  for (const std::string flag : {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}) {
    if (contains(flags, " " + flag + " ")) expected += " " + flag;
  }
  CHECK(machine_facts().kind == expected);
}
#endif

TEST_CASE("machine: cores are those that this process may use") {
  cpu_set_t before, one;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  CHECK(usable_cores() == CPU_COUNT(&before));
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(usable_cores() == 1);
  CHECK(machine_facts().cores == 1);
  REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
}
