#include "tests/sass/disassembly.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <regex>
#include <sstream>

#include "tests/support/support.hpp"

namespace gliograd::test {
namespace {

// From the mangled name: the file stands in that of its anonymous namespace, and the demangled one
// is cut to what tells two kernels of a file apart.
void name_kernel(const std::string& mangled, std::string& file, std::string& name) {
  static const std::regex in_file("_GLOBAL__N__[0-9a-f]+_[0-9]+_([a-z_]+)_cu_");
  std::smatch found;
  file = std::regex_search(mangled, found, in_file) ? found[1].str() : "";
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status), std::free);
  name = status == 0 ? text.get() : mangled;
  for (const char* part :
       {"gliograd::kernels::(anonymous namespace)::", "gliograd::kernels::", "gliograd::"}) {
    for (size_t at; (at = name.find(part)) != std::string::npos;) {
      name.erase(at, std::string(part).size());
    }
  }
  // The kernel's parameters: the parentheses that end the text.
  int depth = 0;
  for (size_t i = name.size(); i-- > 0;) {
    depth += name[i] == ')' ? 1 : (name[i] == '(' ? -1 : 0);
    if (depth == 0) {
      name.resize(i);
      break;
    }
  }
  if (name.rfind("void ", 0) == 0) name.erase(0, 5);
}

KernelCode& kernel_of(Disassembly& all, const std::string& arch, const std::string& mangled) {
  KernelCode fresh;
  fresh.arch = arch;
  name_kernel(mangled, fresh.file, fresh.name);
  for (KernelCode& one : all.code) {
    if (one.arch == fresh.arch && one.file == fresh.file && one.name == fresh.name) return one;
  }
  return all.code.emplace_back(std::move(fresh));
}

int count_accesses(const KernelCode& kernel, const char* first, const char* second, int bits) {
  int sum = 0;
  for (const auto& [name, n] : kernel.instructions) {
    std::istringstream parts(name);
    std::string operation, part;
    std::getline(parts, operation, '.');
    if (operation != first && operation != second) continue;
    int has = 32;
    while (std::getline(parts, part, '.')) {
      if (part == "U8" || part == "S8") has = 8;
      if (part == "U16" || part == "S16") has = 16;
      if (part == "64") has = 64;
      if (part == "128") has = 128;
    }
    if (has == bits) sum += n;
  }
  return sum;
}

std::string run_tool(const std::string& tool, const char* what, const std::string& library) {
  const CommandResult result = run_command({tool, what, library});
  REQUIRE_MESSAGE(result.code == 0, tool, ' ', what, ": ", result.err);
  return result.out;
}

}  // namespace

int KernelCode::count(const std::string& operation) const {
  int sum = 0;
  for (const auto& [name, n] : instructions) {
    if (name == operation || name.rfind(operation + ".", 0) == 0) sum += n;
  }
  return sum;
}
int KernelCode::loads(int bits) const { return count_accesses(*this, "LDG", "LD", bits); }
int KernelCode::stores(int bits) const { return count_accesses(*this, "STG", "ST", bits); }
std::string KernelCode::text() const { return arch + " " + file + ": " + name; }

std::optional<std::string> find_cuobjdump() {
  namespace fs = std::filesystem;
  std::vector<fs::path> folders;
  const char* path = std::getenv("PATH");
  std::istringstream on_path(path != nullptr ? path : "");
  for (std::string folder; std::getline(on_path, folder, ':');) folders.emplace_back(folder);
  folders.emplace_back("/usr/local/cuda/bin");
  const fs::path installed = source_path(".deps/cuda-tools/lib");
  if (fs::exists(installed)) {
    for (const auto& entry : fs::recursive_directory_iterator(installed)) {
      if (entry.path().filename() == "cuobjdump") folders.push_back(entry.path().parent_path());
    }
  }
  for (const fs::path& folder : folders) {
    if (fs::is_regular_file(folder / "cuobjdump")) return (folder / "cuobjdump").string();
  }
  return std::nullopt;
}

Disassembly disassemble(const std::string& cuobjdump, const std::string& library) {
  Disassembly all;
  read_usage(run_tool(cuobjdump, "-res-usage", library), all);
  read_code(run_tool(cuobjdump, "-sass", library), all);
  read_ptx(run_tool(cuobjdump, "-ptx", library), all);
  return all;
}

// arch = sm_90
//  Function _ZN...:
//   REG:28 STACK:0 SHARED:0 LOCAL:0 ...
void read_usage(const std::string& text, Disassembly& to) {
  std::istringstream lines(text);
  std::string arch, mangled;
  for (std::string line; std::getline(lines, line);) {
    char word[1024];
    int registers = 0, stack = 0, shared = 0, local = 0;
    if (std::sscanf(line.c_str(), "arch = %1023s", word) == 1) {
      arch = word;
    } else if (std::sscanf(line.c_str(), " Function %1023[^:]:", word) == 1) {
      mangled = word;
    } else if (std::sscanf(line.c_str(), " REG:%d STACK:%d SHARED:%d LOCAL:%d", &registers, &stack,
                           &shared, &local) == 4) {
      KernelCode& kernel = kernel_of(to, arch, mangled);
      kernel.registers = registers;
      kernel.stack_bytes = stack + local;
      kernel.shared_bytes = shared;
    }
  }
}

// arch = sm_90
//     Function : _ZN...
//         /*0010*/              @!P0 LDG.E.128 R4, desc[UR4][R2.64] ;     /* 0x... */
void read_code(const std::string& text, Disassembly& to) {
  std::istringstream lines(text);
  std::string arch;
  KernelCode* kernel = nullptr;
  for (std::string line; std::getline(lines, line);) {
    char word[1024];
    if (std::sscanf(line.c_str(), "arch = %1023s", word) == 1) {
      arch = word;
    } else if (std::sscanf(line.c_str(), " Function : %1023s", word) == 1) {
      kernel = &kernel_of(to, arch, word);
    } else if (kernel != nullptr &&
               (std::sscanf(line.c_str(), " /*%*[0-9a-f]*/ @%*s %1023[A-Z0-9_.]", word) == 1 ||
                std::sscanf(line.c_str(), " /*%*[0-9a-f]*/ %1023[A-Z0-9_.]", word) == 1)) {
      if (std::string(word) == "NOP") continue;
      ++kernel->instructions[word];
      kernel->order.emplace_back(word);
    }
  }
}

// arch = sm_100
// ptxasOptions =  --fmad false
// .entry _ZN...(
// fma.rn.f32 %f1, %f2, %f3, %f4;
void read_ptx(const std::string& text, Disassembly& to) {
  std::istringstream lines(text);
  std::string kind, arch;
  KernelPtx* kernel = nullptr;
  for (std::string line; std::getline(lines, line);) {
    char word[1024];
    if (line.rfind("Fatbin ", 0) == 0) {
      kind = line;
      kernel = nullptr;
    } else if (kind != "Fatbin ptx code:") {
      continue;
    } else if (std::sscanf(line.c_str(), "arch = %1023s", word) == 1) {
      to.ptx_archs.emplace_back(word);
      to.ptxas_options.emplace_back();
    } else if (line.rfind("ptxasOptions =", 0) == 0 && !to.ptxas_options.empty()) {
      to.ptxas_options.back() = line.substr(line.find('=') + 1);
    } else if (std::sscanf(line.c_str(), " .entry %1023[^(]", word) == 1 ||
               std::sscanf(line.c_str(), " .visible .entry %1023[^(]", word) == 1) {
      kernel = &to.ptx.emplace_back();
      name_kernel(word, kernel->file, kernel->name);
    } else if (kernel != nullptr &&
               (std::sscanf(line.c_str(), "@%*s %1023[a-z0-9_.:]", word) == 1 ||
                std::sscanf(line.c_str(), "%1023[a-z0-9_.:]", word) == 1)) {
      ++kernel->instructions[word];
    }
  }
}

}  // namespace gliograd::test
