// What scheduler, checker and hooks share: the state of the launch that runs. One launch at a time,
// all of it on the device thread.
#pragma once
#include <cuda_runtime_api.h>
#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/simt/simt.hpp"

namespace gliograd::simt {

struct Place;
enum class WarpOp : uint8_t;

constexpr int kMostThreads = 1024;
constexpr size_t kStackBytes = 64 << 10;
constexpr size_t kMostSharedBytes = 227 << 10;  // dynamic, of one block, on sm_90

struct Machine {
  int current = -1;           // index of the running thread in its block; -1: the host's code runs
  int threads = 0;            // in a block
  uint32_t block_serial = 1;  // counts all blocks of all launches; 0 is never, 1 is the host
  uint32_t first_block = 2;   // serial of this launch's first block
  uint32_t epoch = 0;         // counts block barriers of all launches
  bool checking = false;      // inside the checker: what it calls may be instrumented too
  bool abandoned = false;     // the launch cannot go on
  pthread_t device_thread{};  // that runs it
};
extern Machine machine;

/// Whether the caller is a kernel's own code. Of an inline function that host and kernels share the
/// linker keeps one copy, which may be the instrumented one: a host thread may pass through it
/// while a kernel runs.
inline bool in_kernel() {
  return machine.current >= 0 && !machine.checking &&
         pthread_equal(pthread_self(), machine.device_thread) != 0;
}

// scheduler.cpp
/// "thread (3,0,0) in block (1,0,0)".
std::string name_of_thread(int thread);
std::string name_of_running_block();
/// How many __syncwarp the running thread has passed since the last block barrier.
uint16_t warp_syncs(int thread);
/// Whether the address lies on the running thread's own stack.
bool on_own_stack(uintptr_t address);
/// Whether the address lies in the running kernel's frame: its parameters.
bool is_parameter(uintptr_t address);
/// Ends the launch from inside a fiber. Does not return.
[[noreturn]] void abandon();

// fences.cpp
/// The running thread has come to an atomic in device memory.
void meet_at(const void* address);
/// It has read or written device memory: what it has handed over, or has fenced, is without that.
void touch_device_memory();
/// Whether what `thread` of another block of this launch (-1: several of them) did in `epoch` is
/// ordered before what the running thread does now.
bool is_taken_over(uint32_t block, uint32_t epoch, int thread);

// memory.cpp
/// While one lives, device memory can be touched.
class OpenMemory {
 public:
  OpenMemory();
  ~OpenMemory();
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;
};
/// Places in the program that touched device memory while it was closed, since the last call.
std::vector<uintptr_t> take_host_accesses();

// checker.cpp
/// A new allocation, of which nothing is written; and one that ends. Returns its bytes. Errors:
/// Error where there is none.
void add_region(void* memory, size_t bytes);
size_t remove_region(void* memory);
enum class Access : uint8_t { read, write, atomic };
void check_access(const void* address, size_t bytes, Access access, const void* code,
                  bool any_alignment = false);
/// Counts a finding; false where this kind has been described for this pair of places.
bool is_new_finding(const char* kind, uint64_t place, uint64_t other = 0);
void add_finding(const char* kind, const std::string& text);
/// The block's shared memory: unwritten again, and filled with 0xff.
void begin_block_memory(size_t dynamic_bytes);
/// Finds the device thread's shared memory; what lay there comes back in end_launch_memory.
void begin_launch_memory();
void end_launch_memory();

}  // namespace gliograd::simt
