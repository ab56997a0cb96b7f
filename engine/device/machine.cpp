#include "engine/device/machine.hpp"

#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <thread>

#include "engine/core/error.hpp"
#include "engine/device/stream.hpp"
#include "kernels/conv.hpp"
#include "kernels/linear.hpp"
#include "kernels/runtime.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if GLIOGRAD_HAS_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

namespace gliograd {
namespace {

#if defined(__x86_64__)
struct Leaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf cpuid(unsigned leaf, unsigned sub = 0) {
  Leaf out;
  if (__get_cpuid_count(leaf, sub, &out.eax, &out.ebx, &out.ecx, &out.edx) == 0) return {};
  return out;
}

// Register state that the operating system saves: bits 1-2 AVX, 5-7 AVX-512, 17-18 AMX tiles.
uint64_t saved_state() {
  if ((cpuid(1).ecx >> 27 & 1) == 0) return 0;  // no xgetbv
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

std::string brand() {
  std::array<Leaf, 3> parts;
  for (unsigned i = 0; i < 3; ++i) parts[i] = cpuid(0x80000002u + i);
  char text[49] = {};
  std::memcpy(text, parts.data(), 48);
  std::string name(text);
  name.erase(0, name.find_first_not_of(' '));
  return name.empty() ? "unknown" : name;
}

std::string vendor() {  // the twelve letters stand in ebx, edx, ecx
  const Leaf zero = cpuid(0);
  const std::array<unsigned, 3> letters = {zero.ebx, zero.edx, zero.ecx};
  std::string name(12, '\0');
  std::memcpy(name.data(), letters.data(), 12);
  return name;
}

void read_processor(MachineFacts& facts) {
  facts.processor = brand();
  facts.kind = vendor();
  const uint64_t saved = saved_state();
  const bool avx = (saved & 0x6) == 0x6, avx512 = (saved & 0xe6) == 0xe6,
             amx = (saved & 0x60000) == 0x60000;
  const Leaf seven = cpuid(7), seven_one = cpuid(7, 1);
  const auto add = [&](bool here, const char* name, const char* in_kind = nullptr) {
    if (!here) return;
    facts.features.emplace_back(name);
    if (in_kind != nullptr) facts.kind += std::string(" ") + in_kind;
  };
  add(avx && (seven.ebx >> 5 & 1) != 0, "AVX2", "avx2");
  add(avx512 && (seven.ebx >> 16 & 1) != 0, "AVX-512", "avx512f");
  add(avx512 && (seven_one.eax >> 5 & 1) != 0, "AVX512-BF16", "avx512_bf16");
  add(avx512 && (seven.edx >> 23 & 1) != 0, "AVX512-FP16");
  add(amx && (seven.edx >> 22 & 1) != 0, "AMX-BF16", "amx_bf16");
  add(amx && (seven.edx >> 25 & 1) != 0, "AMX-INT8");
}
#else
void read_processor(MachineFacts& facts) { facts.processor = facts.kind = "unknown"; }
#endif

int64_t available_memory() {
  std::ifstream in("/proc/meminfo");
  std::string key;
  int64_t kib = 0;
  std::string unit;
  while (in >> key >> kib) {
    if (key == "MemAvailable:") return kib * 1024;
    std::getline(in, unit);
  }
  return 0;
}

}  // namespace

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

MachineFacts machine_facts() {
  MachineFacts facts;
  read_processor(facts);
  facts.cores = usable_cores();
  const int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
  if (pages > 0 && page > 0) facts.memory_bytes = pages * page;
  facts.available_bytes = available_memory();
  return facts;
}

// The driver's C interface, as far as it is needed; its functions return 0 on success.
GpuFacts gpu_facts() {
  GpuFacts facts;
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) {
    facts.problem = "no NVIDIA driver";
    return facts;
  }
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  const auto version = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDriverGetVersion"));
  const auto count = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDeviceGetCount"));
  const auto name = reinterpret_cast<int (*)(char*, int, int)>(dlsym(driver, "cuDeviceGetName"));
  const auto attribute =
      reinterpret_cast<int (*)(int*, int, int)>(dlsym(driver, "cuDeviceGetAttribute"));
  constexpr int kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...
  int devices = 0;
  if (init == nullptr || version == nullptr || count == nullptr || name == nullptr ||
      attribute == nullptr) {
    facts.problem = "the NVIDIA driver lacks functions that every version has";
  } else if (init(0) != 0 || count(&devices) != 0 || devices == 0) {
    facts.problem = "an NVIDIA driver, but no GPU that works";
  } else {
    for (int i = 0; i < devices; ++i) {
      char text[256] = {};
      facts.names.emplace_back(name(text, sizeof text, i) == 0 ? text : "unnamed");
      int major = 0, minor = 0;
      if (attribute(&major, kMajor, i) != 0 || attribute(&minor, kMinor, i) != 0) major = 0;
      facts.capabilities.push_back(10 * major + minor);
    }
  }
  if (version != nullptr && version(&facts.driver) != 0) facts.driver = 0;
  return facts;  // the library stays open: a driver does not unload cleanly
}

std::string gpu_name(int device) { return kernels::device_facts(device).name; }

GpuLibraryFacts gpu_library_facts() {
  const auto text_of = [](int64_t v) {  // as cuDNN 9 and cuBLASLt write it
    return v == 0 ? "" : concat_text(v / 10000, '.', v / 100 % 100, '.', v % 100);
  };
  GpuLibraryFacts facts;
  try {
    const kernels::LibraryFacts library = kernels::library_facts();
    const kernels::ConvVendorVersion cudnn = kernels::conv_vendor_version();
    facts.machine_code = library.machine_code;
    facts.ptx = library.ptx;
    facts.toolkit = library.toolkit;
    facts.cudnn_built = text_of(cudnn.built);
    facts.cudnn_loaded = text_of(cudnn.loaded);
    facts.cublaslt = text_of(kernels::linear_vendor_version());
  } catch (const kernels::DeviceError& error) {
    facts.problem = error.what();
  }
  return facts;
}

GpuCode gpu_code_for(const GpuLibraryFacts& library, int capability, int driver) {
  for (const int has : library.machine_code) {
    // Machine code runs on later minor versions of its major one.
    if (capability / 10 == has / 10 && capability >= has) return GpuCode::machine_code;
  }
  // A driver older than the toolkit may not know the toolkit's PTX.
  const bool compiles = library.ptx > 0 && capability >= library.ptx && driver >= library.toolkit;
  return compiles ? GpuCode::ptx : GpuCode::none;
}

std::string cuda_version_text(int version) {
  return concat_text(version / 1000, '.', version % 1000 / 10);
}

std::string gpu_problem() {
  const GpuFacts facts = gpu_facts();
  if (facts.names.empty()) return facts.problem;
  try {
    const kernels::DeviceFacts gpu = kernels::device_facts(0);
    if (gpu_code_for(gpu_library_facts(), 10 * gpu.major + gpu.minor, gpu.driver) ==
        GpuCode::none) {
      return gpu.name + ": this build has no code for it";
    }
    Stream::cuda(0)->wait();
    return "";
  } catch (const WorkError& error) {
    return error.what();
  }
}

std::string onednn_version() {
#if GLIOGRAD_HAS_ONEDNN
  const dnnl_version_t* version = dnnl_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->patch);
#else
  return "";
#endif
}

}  // namespace gliograd
