// Device memory: one reserved range of addresses, closed to the host except while the device works.
// A host access faults; the handler notes the place and opens the range, so that the program goes
// on and the report names all such places.
#include <sys/mman.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <mutex>

#include "kernels/base.hpp"
#include "tests/simt/machine.hpp"

namespace gliograd::simt {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kRange = size_t{64} << 30;  // addresses, not memory

char* range = nullptr;
size_t used = 0;
int openers = 0;
std::mutex lock;
std::array<std::atomic<uintptr_t>, 64> accesses;
std::atomic<size_t> access_count{0};

struct sigaction others {};  // what was there before us: the test framework's

void protect(int how) {
  if (used > 0) mprotect(range, used, how);
}

// Only what a signal handler may do: atomics and a system call.
void on_fault(int number, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  if (range == nullptr || address - reinterpret_cast<uintptr_t>(range) >= used) {
    sigaction(number, &others, nullptr);  // not ours: fault again, to them
    return;
  }
  const auto* state = static_cast<const ucontext_t*>(context);
  const size_t at = access_count++;
  if (at < accesses.size()) {
    accesses[at] = static_cast<uintptr_t>(state->uc_mcontext.gregs[REG_RIP]);
  }
  protect(PROT_READ | PROT_WRITE);
}

void reserve() {
  void* memory =
      mmap(nullptr, kRange, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw WorkError("the emulated device has no addresses left");
  range = static_cast<char*>(memory);
}

/// The test framework puts its own handler in place before each test case.
void take_over_faults() {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, &before);
  if (before.sa_sigaction != on_fault) others = before;
}

size_t pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

OpenMemory::OpenMemory() {
  const std::lock_guard guard(lock);
  if (openers++ == 0) protect(PROT_READ | PROT_WRITE);
}
OpenMemory::~OpenMemory() {
  const std::lock_guard guard(lock);
  if (--openers > 0) return;
  take_over_faults();
  protect(PROT_NONE);
}

std::vector<uintptr_t> take_host_accesses() {
  const size_t count = std::min(access_count.exchange(0), accesses.size());
  return {accesses.begin(), accesses.begin() + static_cast<std::ptrdiff_t>(count)};
}

void* allocate(size_t bytes) {
  if (bytes == 0) throw Error("device memory of no bytes");
  const std::lock_guard guard(lock);
  if (range == nullptr) reserve();
  // A page between neighbors, so that a little beyond one is not inside the next.
  const size_t size = pages(bytes) + kPage;
  if (used + size > kRange) throw WorkError("the emulated device has no addresses left");
  char* memory = range + used;
  used += size;
  mprotect(memory, size, PROT_READ | PROT_WRITE);
  std::memset(memory, 0xff, bytes);
  if (openers == 0) mprotect(memory, size, PROT_NONE);
  add_region(memory, bytes);
  return memory;
}

size_t release(void* memory) {
  const std::lock_guard guard(lock);
  const size_t bytes = remove_region(memory);
  madvise(memory, pages(bytes), MADV_DONTNEED);  // the addresses stay taken
  return bytes;
}

}  // namespace gliograd::simt
