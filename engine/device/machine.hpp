// What this machine is: processor, memory, GPUs, and the vendor libraries that this build found.
// Read for `doctor`, benches and the record of a run; nothing here decides a result.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace gliograd {

struct MachineFacts {
  std::string processor;              // brand string of cpuid; "unknown" on other architectures
  std::vector<std::string> features;  // of AVX2 AVX-512 AVX512-BF16 AVX512-FP16 AMX-BF16 AMX-INT8,
                                      // as far as processor and operating system both have them
  std::string kind;  // "AuthenticAMD avx2 avx512f": what a result's bits depend on, for the record
                     // of a run; of avx2 avx512f avx512_bf16 amx_bf16, as Linux names them
  int cores = 1;     // that this process may use
  int64_t memory_bytes = 0;     // physical; 0 where it cannot be told
  int64_t available_bytes = 0;  // the system's estimate of what new work can have
};
MachineFacts machine_facts();

/// How many cores this process may use, at least 1.
int usable_cores();

/// GPUs by the NVIDIA driver's own count, without the CUDA runtime (which costs 0.1 s to open).
struct GpuFacts {
  std::vector<std::string> names;
  std::vector<int> capabilities;  // of each: 10 * major + minor
  int driver = 0;                 // newest CUDA version that the driver serves: 13000 is 13.0
  std::string problem;            // why there is none: "no NVIDIA driver"
};
GpuFacts gpu_facts();
/// Of a GPU that streams run on, by the CUDA runtime. Errors: DeviceError where there is none.
std::string gpu_name(int device = 0);
/// Why the first GPU cannot be used by this program; empty where it can.
std::string gpu_problem();

/// The GPU library beside this program (kernels/entry.hpp), which the call opens.
struct GpuLibraryFacts {
  std::string problem;                    // why it does not open; nothing else holds then
  std::vector<int> machine_code;          // compute capabilities that it has code for
  int ptx = 0;                            // and as PTX for this one and all later ones
  int toolkit = 0;                        // 13000 is CUDA 13.0
  std::string cudnn_built, cudnn_loaded;  // "9.19.0"; empty: built without
  std::string cublaslt;                   // "13.1.0", likewise
};
GpuLibraryFacts gpu_library_facts();

/// How the library runs on a GPU of that capability, under a driver of that version.
enum class GpuCode : uint8_t { machine_code, ptx, none };
GpuCode gpu_code_for(const GpuLibraryFacts& library, int capability, int driver);

/// "13.0" of 13000.
std::string cuda_version_text(int version);

/// "3.1.0"; empty in a build without oneDNN.
std::string onednn_version();

}  // namespace gliograd
