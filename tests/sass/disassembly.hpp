// What the compiler made of the kernels: the machine code and the PTX of the GPU library, as
// cuobjdump prints them, counted.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gliograd::test {

/// One kernel for one architecture.
struct KernelCode {
  std::string arch;  // "sm_90"
  std::string file;  // "batch_norm", of kernels/gpu
  std::string name;  // "apply_kernel<8, bf16>"
  int registers = 0;
  int stack_bytes = 0;   // spilled registers and arrays that did not become registers
  int shared_bytes = 0;  // static
  /// How often each instruction stands in the code, by its whole name: "LDG.E.128".
  std::map<std::string, int> instructions;
  /// In the order of the code, without padding.
  std::vector<std::string> order;

  /// Instructions of this operation ("LDG", "DFMA", ...), of any kind.
  int count(const std::string& operation) const;
  /// Accesses to global memory by their bits: of LDG and LD, or of STG and ST.
  int loads(int bits) const;
  int stores(int bits) const;
  /// "sm_90 batch_norm: apply_kernel<8, bf16>"
  std::string text() const;
};

/// One kernel's PTX.
struct KernelPtx {
  std::string file, name;
  std::map<std::string, int> instructions;  // "fma.rn.f32"
};

struct Disassembly {
  std::vector<KernelCode> code;
  std::vector<KernelPtx> ptx;
  std::vector<std::string> ptx_archs;      // of each piece of PTX: "sm_100"
  std::vector<std::string> ptxas_options;  // that the driver is told to compile it with
};

/// From PATH, the CUDA toolkit, or what ./run installs.
std::optional<std::string> find_cuobjdump();
/// Errors: fails the test where the tool fails.
Disassembly disassemble(const std::string& cuobjdump, const std::string& library);

/// The three parts of it, from text.
void read_usage(const std::string& text, Disassembly& to);
void read_code(const std::string& text, Disassembly& to);
void read_ptx(const std::string& text, Disassembly& to);

}  // namespace gliograd::test
