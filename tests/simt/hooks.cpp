// The calls that -fsanitize=thread and -fsanitize=alignment,bounds put into a kernel's code. Names
// and parameters are the compiler's; the work is the checker's. This file, like all of the emulator
// but the kernels, is compiled without those options.
#include <cstring>
#include <string>

#include "tests/simt/machine.hpp"

using gliograd::simt::Access;
using gliograd::simt::check_access;

namespace {

// As the compiler lays out the place of an undefined-behavior report.
struct SourcePlace {
  const char* file;
  uint32_t line, column;
};

void undefined_behavior(const SourcePlace* place, const char* kind, const std::string& what) {
  using namespace gliograd::simt;
  if (!in_kernel()) return;
  machine.checking = true;
  if (is_new_finding(kind, place->line)) {
    const std::string file = place->file;
    add_finding(kind, name_of_thread(machine.current) + " " + what + " at " +
                          file.substr(file.find_last_of('/') + 1) + ":" +
                          std::to_string(place->line));
  }
  abandon();
}

}  // namespace

#define GG_CODE __builtin_return_address(0)
#define GG_ACCESS_HOOKS(bytes)                                                                   \
  void __tsan_read##bytes(void* p) { check_access(p, bytes, Access::read, GG_CODE); }            \
  void __tsan_write##bytes(void* p) { check_access(p, bytes, Access::write, GG_CODE); }          \
  void __tsan_read_write##bytes(void* p) {                                                       \
    check_access(p, bytes, Access::read, GG_CODE);                                               \
    check_access(p, bytes, Access::write, GG_CODE);                                              \
  }                                                                                              \
  void __tsan_volatile_read##bytes(void* p) { check_access(p, bytes, Access::read, GG_CODE); }   \
  void __tsan_volatile_write##bytes(void* p) { check_access(p, bytes, Access::write, GG_CODE); } \
  void __tsan_unaligned_read##bytes(void* p) {                                                   \
    check_access(p, bytes, Access::read, GG_CODE, true);                                         \
  }                                                                                              \
  void __tsan_unaligned_write##bytes(void* p) {                                                  \
    check_access(p, bytes, Access::write, GG_CODE, true);                                        \
  }

extern "C" {

GG_ACCESS_HOOKS(1)
GG_ACCESS_HOOKS(2)
GG_ACCESS_HOOKS(4)
GG_ACCESS_HOOKS(8)
GG_ACCESS_HOOKS(16)

void __tsan_read_range(void* p, size_t bytes) {
  check_access(p, bytes, Access::read, GG_CODE, true);
}
void __tsan_write_range(void* p, size_t bytes) {
  check_access(p, bytes, Access::write, GG_CODE, true);
}
void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
  check_access(from, bytes, Access::read, GG_CODE, true);
  check_access(to, bytes, Access::write, GG_CODE, true);
  return std::memcpy(to, from, bytes);
}
void* __tsan_memset(void* to, int value, size_t bytes) {
  check_access(to, bytes, Access::write, GG_CODE, true);
  return std::memset(to, value, bytes);
}
// std::atomic in the host's code of a kernel file; kernels themselves use CUDA's functions.
uint64_t __tsan_atomic64_load(const volatile uint64_t* p, int) {
  return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}
void __tsan_atomic64_store(volatile uint64_t* p, uint64_t value, int) {
  __atomic_store_n(p, value, __ATOMIC_SEQ_CST);
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}

void __ubsan_handle_type_mismatch_v1(SourcePlace* place, void*) {
  undefined_behavior(place, "alignment", "uses a pointer that is not aligned for its type");
}
void __ubsan_handle_out_of_bounds(SourcePlace* place, uintptr_t index) {
  undefined_behavior(place, "bounds",
                     "uses index " + std::to_string(static_cast<intptr_t>(index)) + " of an array");
}

}  // extern "C"
