// What the checker knows: for every byte of shared memory and of each device allocation, who wrote
// and who read it last, and between which barriers.
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <set>

#include "kernels/base.hpp"
#include "tests/simt/device.hpp"
#include "tests/simt/machine.hpp"

extern "C" {
extern char __executable_start, _end;  // from the linker: this program's image
}

namespace gliograd::simt {
namespace {

// A reader or writer: the thread's index in its block, or these beside it.
constexpr uint16_t kSeveralLanes = 0x2000;  // several lanes of that thread's warp
constexpr uint16_t kSeveralWarps = 0x4000;
constexpr uint16_t kAtomic = 0x8000;
constexpr uint16_t kIndex = 0x1fff;
constexpr uint32_t kHostSerial = 1;  // as a block's serial: the host wrote it

struct Cell {
  uint32_t write_block, write_epoch, read_block, read_epoch;  // serials; 0: never
  uint32_t write_code, read_code;                             // offsets in the program's image
  uint16_t writer, reader;
  uint16_t write_syncs, read_syncs;
};

/// Zeroed cells that take memory only where they are touched.
class Cells {
 public:
  explicit Cells(size_t count) : bytes_(count * sizeof(Cell)) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw WorkError("the emulator's checker has no memory left");
    cells_ = static_cast<Cell*>(memory);
  }
  ~Cells() { munmap(cells_, bytes_); }
  Cells(const Cells&) = delete;
  Cells& operator=(const Cells&) = delete;
  Cell* at(size_t i) { return cells_ + i; }

 private:
  Cell* cells_ = nullptr;
  size_t bytes_;
};

struct Region {
  uintptr_t begin = 0, end = 0;
  bool shared = false;
  std::unique_ptr<Cells> cells;

  bool holds(uintptr_t address) const { return address - begin < end - begin; }
};

constexpr size_t kPage = 4096;

std::map<uintptr_t, Region> allocations;  // by end
Region static_shared, dynamic_shared_region;
Region* last_found = nullptr;
Report report;
std::set<std::string> described;
alignas(1024) char dynamic_memory[kMostSharedBytes];
std::string saved_thread_memory;

/// The program's thread-local segment as the calling thread has it: the kernels' static __shared__
/// variables, and whatever else is thread-local in the program.
int find_thread_segment(dl_phdr_info* info, size_t, void*) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    if (info->dlpi_phdr[i].p_type != PT_TLS) continue;
    static_shared.begin = reinterpret_cast<uintptr_t>(info->dlpi_tls_data);
    static_shared.end = static_shared.begin + info->dlpi_phdr[i].p_memsz;
  }
  return 1;  // the first entry is the program itself
}

/// The source line through addr2line; the offset where it cannot tell.
std::string line_of(uint32_t code) {
  char command[160], line[512] = "";
  std::snprintf(command, sizeof command, "addr2line -s -e /proc/%d/exe 0x%x 2>/dev/null",
                static_cast<int>(getpid()), code - 1);
  if (FILE* pipe = popen(command, "r")) {
    if (std::fgets(line, sizeof line, pipe) == nullptr) line[0] = 0;
    pclose(pipe);
  }
  std::string text = line;
  text = text.substr(0, text.find_first_of(" \n"));
  return text.empty() || text[0] == '?' ? "code offset " + std::to_string(code) : text;
}

Region* region_at(uintptr_t address) {
  if (static_shared.holds(address)) return &static_shared;
  if (dynamic_shared_region.holds(address)) return &dynamic_shared_region;
  if (last_found != nullptr && last_found->holds(address)) return last_found;
  const auto found = allocations.upper_bound(address);
  if (found == allocations.end() || address < found->second.begin) return nullptr;
  return last_found = &found->second;
}

Region& region_of_copy(const void* device, size_t bytes) {
  const auto at = reinterpret_cast<uintptr_t>(device);
  Region* region = region_at(at);
  if (region == nullptr || region->shared || at + bytes > region->end) {
    throw Error("copy of " + std::to_string(bytes) + " bytes beyond device memory");
  }
  return *region;
}

/// One access, being checked.
struct Check {
  uintptr_t address;
  size_t bytes;
  Access access;
  uint32_t code;
  uint16_t self, syncs;

  std::string text() const {
    static const char* const verbs[] = {"reads", "writes", "updates"};
    return name_of_thread(self) + " " + verbs[static_cast<int>(access)] + " " +
           std::to_string(bytes) + " bytes at " + line_of(code);
  }

  [[noreturn]] void end(const char* kind, const std::string& what) const {
    if (is_new_finding(kind, code)) add_finding(kind, text() + what);
    abandon();
  }

  void outside() const {
    const auto next = allocations.upper_bound(address);
    if (next != allocations.begin()) {
      const Region& before = std::prev(next)->second;
      if (address - before.end < kPage) {
        end("bounds", ", " + std::to_string(address - before.end) +
                          " bytes past the end of an allocation of " +
                          std::to_string(before.end - before.begin));
      }
    }
    end("bounds", ", in no device memory");
  }

  /// Whether an earlier access may have met this one. Another block: within one launch, unless
  /// fences and atomics order them.
  /// The same block: between the same two block barriers, unless both threads are of one warp and
  /// a __syncwarp lies between.
  bool unordered(bool shared, uint32_t block, uint32_t epoch, uint16_t who,
                 uint16_t their_syncs) const {
    who &= static_cast<uint16_t>(~kAtomic);
    if (shared ? block != machine.block_serial : block < machine.first_block) return false;
    if (block != machine.block_serial) return !is_taken_over(block, epoch, who > kIndex ? -1 : who);
    if (epoch != machine.epoch || who == self) return false;
    return who == kSeveralWarps || (who & kIndex) / 32 != self / 32 || their_syncs == syncs;
  }

  void against_writer(const Cell& cell) const {
    if (!is_new_finding("race", code, cell.write_code)) return;
    const std::string who = cell.write_block == machine.block_serial
                                ? name_of_thread(cell.writer & kIndex)
                                : "another block";
    add_finding("race", text() + ", which " + who + " wrote at " + line_of(cell.write_code) +
                            " with no barrier between");
  }
  void against_reader(const Cell& cell) const {
    if (!is_new_finding("race", code, cell.read_code)) return;
    const bool one = cell.read_block == machine.block_serial && cell.reader <= kIndex;
    add_finding("race", text() + ", which " +
                            (one ? name_of_thread(cell.reader) : "another thread") + " read at " +
                            line_of(cell.read_code) + " with no barrier between");
  }

  void note_read(Cell& cell) const {
    const bool others = cell.read_block == machine.block_serial &&
                        cell.read_epoch == machine.epoch && cell.reader != self;
    const bool same_warp =
        others && cell.reader != kSeveralWarps && (cell.reader & kIndex) / 32 == self / 32;
    if (!others) {
      cell.reader = self;
    } else if (!same_warp) {
      cell.reader = kSeveralWarps;
    } else {
      cell.reader = cell.read_syncs == syncs ? static_cast<uint16_t>(self | kSeveralLanes) : self;
    }
    cell.read_block = machine.block_serial;
    cell.read_epoch = machine.epoch;
    cell.read_syncs = syncs;
    cell.read_code = code;
  }
  void note_write(Cell& cell) const {
    cell.write_block = machine.block_serial;
    cell.write_epoch = machine.epoch;
    cell.writer = access == Access::atomic ? static_cast<uint16_t>(self | kAtomic) : self;
    cell.write_syncs = syncs;
    cell.write_code = code;
  }

  void run(Region& region, bool any_alignment) const {
    if (access != Access::atomic && !region.shared) touch_device_memory();
    if (address + bytes > region.end) end("bounds", ", across the end of its memory");
    if (!any_alignment && address % bytes != 0) end("alignment", ", not aligned");
    bool told = false;
    for (size_t i = 0; i < bytes; ++i) {
      Cell& cell = *region.cells->at(address - region.begin + i);
      const bool written =
          region.shared ? cell.write_block == machine.block_serial : cell.write_block != 0;
      if (access != Access::write && !written && !told) {
        told = true;
        if (is_new_finding("uninitialized", code)) {
          add_finding("uninitialized", text() + (region.shared ? " of shared" : " of device") +
                                           " memory that nothing has written yet");
        }
      }
      const bool both_atomic = access == Access::atomic && (cell.writer & kAtomic) != 0;
      if (cell.write_block != 0 && !both_atomic &&
          unordered(region.shared, cell.write_block, cell.write_epoch, cell.writer,
                    cell.write_syncs)) {
        return against_writer(cell);
      }
      if (access != Access::read && cell.read_block != 0 &&
          unordered(region.shared, cell.read_block, cell.read_epoch, cell.reader,
                    cell.read_syncs)) {
        return against_reader(cell);
      }
      if (access == Access::read) {
        note_read(cell);
      } else {
        note_write(cell);
      }
    }
  }
};

}  // namespace

std::string Report::text() const {
  std::string text;
  for (const Finding& finding : findings) text += finding.kind + ": " + finding.text + "\n";
  return text.empty() ? "nothing" : text;
}

Report take_report() {
  for (const uintptr_t code : take_host_accesses()) {
    const auto at = static_cast<uint32_t>(code - reinterpret_cast<uintptr_t>(&__executable_start));
    if (is_new_finding("host", at)) {
      add_finding("host", "the host touches device memory at " + line_of(at + 1));
    }
  }
  Report taken;
  std::swap(taken, report);
  described.clear();
  return taken;
}

bool is_new_finding(const char* kind, uint64_t place, uint64_t other) {
  ++report.total;
  return described.insert(kind + std::to_string(place) + "/" + std::to_string(other)).second;
}
void add_finding(const char* kind, const std::string& text) {
  report.findings.push_back({kind, text});
}

void check_access(const void* address, size_t bytes, Access access, const void* code,
                  bool any_alignment) {
  if (!in_kernel()) return;
  const auto at = reinterpret_cast<uintptr_t>(address);
  if (on_own_stack(at) || bytes == 0) return;
  machine.checking = true;
  Check check{
      at, bytes, access, 0, static_cast<uint16_t>(machine.current), warp_syncs(machine.current)};
  const auto image = reinterpret_cast<uintptr_t>(&__executable_start);
  check.code = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(code) - image);
  if (Region* region = region_at(at)) {
    check.run(*region, any_alignment);
  } else if (at - image >= static_cast<uintptr_t>(&_end - &__executable_start) &&
             !(access == Access::read && is_parameter(at))) {
    // Constants, built-in variables and the kernel's parameters are no one's memory.
    check.outside();
  }
  machine.checking = false;
}

void atomic_access(const void* address, size_t bytes) {
  check_access(address, bytes, Access::atomic, __builtin_return_address(0));
  if (!in_kernel()) return;
  machine.checking = true;
  const Region* region = region_at(reinterpret_cast<uintptr_t>(address));
  if (region != nullptr && !region->shared) meet_at(address);
  machine.checking = false;
}

void begin_launch_memory() {
  dl_iterate_phdr(find_thread_segment, nullptr);
  const size_t bytes = static_shared.end - static_shared.begin;
  saved_thread_memory.assign(reinterpret_cast<const char*>(static_shared.begin), bytes);
  static_shared.shared = dynamic_shared_region.shared = true;
  if (!static_shared.cells) static_shared.cells = std::make_unique<Cells>(bytes + 1);
  if (!dynamic_shared_region.cells) {
    dynamic_shared_region.cells = std::make_unique<Cells>(kMostSharedBytes);
  }
}

void begin_block_memory(size_t dynamic_bytes) {
  dynamic_shared_region.begin = reinterpret_cast<uintptr_t>(dynamic_memory);
  dynamic_shared_region.end = dynamic_shared_region.begin + dynamic_bytes;
  std::memset(dynamic_memory, 0xff, dynamic_bytes);
  std::memset(reinterpret_cast<void*>(static_shared.begin), 0xff,
              static_shared.end - static_shared.begin);
}

void end_launch_memory() {
  std::memcpy(reinterpret_cast<void*>(static_shared.begin), saved_thread_memory.data(),
              saved_thread_memory.size());
}

void* dynamic_shared() { return dynamic_memory; }

void add_region(void* memory, size_t bytes) {
  const auto at = reinterpret_cast<uintptr_t>(memory);
  last_found = nullptr;
  allocations[at + bytes] = {at, at + bytes, false, std::make_unique<Cells>(bytes)};
}

size_t remove_region(void* memory) {
  const auto at = reinterpret_cast<uintptr_t>(memory);
  const auto found = allocations.upper_bound(at);
  if (found == allocations.end() || found->second.begin != at) {
    throw Error("release of what is no device memory");
  }
  const size_t bytes = found->second.end - at;
  last_found = nullptr;
  allocations.erase(found);
  return bytes;
}

void copy_in(void* device, const void* host, size_t bytes) {
  if (bytes == 0) return;
  Region& region = region_of_copy(device, bytes);
  const size_t first = reinterpret_cast<uintptr_t>(device) - region.begin;
  for (size_t i = 0; i < bytes; ++i) region.cells->at(first + i)->write_block = kHostSerial;
  const OpenMemory open;
  std::memcpy(device, host, bytes);
}

void copy_out(void* host, const void* device, size_t bytes) {
  if (bytes == 0) return;
  region_of_copy(device, bytes);
  const OpenMemory open;
  std::memcpy(host, device, bytes);
}

}  // namespace gliograd::simt
