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

TEST_CASE("machine: a GPU runs machine code of its major version, else newer PTX, else nothing") {
  GpuLibraryFacts library;
  library.machine_code = {80, 90};
  library.ptx = 100;
  library.toolkit = 13000;
  const auto code = [&](int capability, int driver = 13000) {
    return gpu_code_for(library, capability, driver);
  };
  for (const int capability : {80, 86, 89, 90}) CHECK(code(capability) == GpuCode::machine_code);
  for (const int capability : {100, 103, 110, 120, 121, 130}) {
    CHECK(code(capability) == GpuCode::ptx);
    CHECK(code(capability, 12080) == GpuCode::none);  // a driver that cannot read the PTX
  }
  CHECK(code(75) == GpuCode::none);
  CHECK(gpu_code_for({}, 90, 13000) == GpuCode::none);
  CHECK(cuda_version_text(12080) == "12.8");
}

TEST_CASE("machine: the GPU library says what it was built for, or why it does not open") {
  const GpuLibraryFacts library = gpu_library_facts();
  if (!library.problem.empty()) {
    CHECK(contains(library.problem, "no GPU library: "));
    return;
  }
  CHECK(library.machine_code == std::vector<int>{80, 90});
  CHECK(library.ptx >= 90);
  CHECK(library.toolkit >= 12000);
  // Both, or built without.
  CHECK(library.cudnn_built.empty() == library.cudnn_loaded.empty());
}
