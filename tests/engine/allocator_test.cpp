#include "engine/device/allocator.hpp"

#include <cstdlib>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

// A machine with this much memory.
class SmallMachine final : public MemorySource {
 public:
  explicit SmallMachine(int64_t bytes) : left_(bytes) {}
  void* take(int64_t bytes) override {
    if (bytes > left_) throw WorkError("out of memory");
    left_ -= bytes;
    return std::malloc(static_cast<size_t>(bytes));
  }
  void give(void* memory, int64_t bytes) override {
    left_ += bytes;
    std::free(memory);
  }

 private:
  int64_t left_;
};

}  // namespace

TEST_CASE("arena: a block that was given back is handed out again") {
  CachingAllocator arena(host_memory());
  void* first = arena.allocate(1000);
  arena.release(first, 1000);
  CHECK(arena.allocate(1010) == first);  // the same size step
  CHECK(arena.stats().source_calls == 1);
  arena.release(first, 1010);
  CHECK(arena.stats().in_use_bytes == 0);
  arena.trim();
  CHECK(arena.stats().held_bytes == 0);
}

TEST_CASE("arena: blocks cached in other sizes are given back before it runs out of memory") {
  CachingAllocator arena(std::make_unique<SmallMachine>(4096));
  void* small = arena.allocate(1024);
  void* held = arena.allocate(2048);
  arena.release(small, 1024);
  void* large = arena.allocate(2048);  // 1,024 are free and 1,024 cached: enough together
  CHECK(arena.stats().held_bytes == 4096);
  CHECK(arena.stats().in_use_bytes == 4096);
  CHECK(error_of([&] { arena.allocate(256); }) == "out of memory");
  CHECK(arena.stats().in_use_bytes == 4096);
  arena.release(held, 2048);
  arena.release(large, 2048);
}

TEST_CASE("arena: sizes are rounded up by at most an eighth, and blocks are aligned") {
  for (const int64_t bytes : {1, 255, 256, 257, 4097, 100000, 3000001}) {
    CachingAllocator arena(host_memory());
    void* block = arena.allocate(bytes);
    CHECK(reinterpret_cast<uintptr_t>(block) % 256 == 0);
    CHECK(arena.stats().in_use_bytes >= bytes);
    CHECK(arena.stats().in_use_bytes <= std::max<int64_t>(256, bytes + bytes / 8 + 256));
    arena.release(block, bytes);
  }
}
