#include "engine/device/allocator.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

// A machine with this much memory.
class SmallMachine final : public MemorySource {
 public:
  explicit SmallMachine(int64_t bytes) : left_(bytes) {}
  void* take(int64_t bytes) override {
    if (bytes > left_) throw OutOfMemory("out of memory");
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

TEST_CASE("arena: the message of a tensor that finds no memory names it and the largest others") {
  LiveBlocks live;
  const size_t first = live.add({{10, 100}, DType::f32, "conv"});
  live.add({{1, 7}, DType::u8, nullptr});
  live.add({{10, 100}, DType::f32, "conv"});
  CHECK(live.set_op("pad") == nullptr);
  live.add({{5000}, DType::bf16, live.op()});
  CHECK(live.set_op(nullptr) == std::string("pad"));
  CHECK(live.largest(2) ==
        "18.0 kB in use: pad [5000] bf16 10.0 kB, 2 x conv [10, 100] f32 8.0 kB");
  live.remove(first);
  CHECK(
      live.largest(9) ==
      "14.0 kB in use: pad [5000] bf16 10.0 kB, conv [10, 100] f32 4.0 kB, weights or data [1, 7] "
      "u8 7 B");
  CHECK(live.add({{3}, DType::f32, nullptr}) == first);  // its number is free again
}

TEST_CASE("bytes_text: decimal units, one digit behind the point") {
  CHECK(bytes_text(0) == "0 B");
  CHECK(bytes_text(999) == "999 B");
  CHECK(bytes_text(1000) == "1.0 kB");
  CHECK(bytes_text(999'949) == "999.9 kB");
  CHECK(bytes_text(999'950) == "1.0 MB");
  CHECK(bytes_text(20'480'000'000) == "20.5 GB");
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

TEST_CASE("arena: threads that share one never hold the same block" *
          doctest::test_suite("threads")) {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  CachingAllocator arena(host_memory());
  std::atomic<int> torn{0};
  const auto work = [&](int thread) {
    std::mt19937_64 random(seed + static_cast<uint64_t>(thread));
    std::vector<std::pair<void*, int64_t>> held;
    const auto release = [&] {
      const auto [memory, bytes] = held.back();
      const auto* first = static_cast<const uint8_t*>(memory);
      if (first[0] != thread || first[bytes - 1] != thread) ++torn;
      arena.release(memory, bytes);
      held.pop_back();
    };
    for (int i = 0; i < 500; ++i) {
      const int64_t bytes = 1 + static_cast<int64_t>(random() % 5000);
      void* memory = arena.allocate(bytes);
      std::memset(memory, thread, static_cast<size_t>(bytes));
      held.emplace_back(memory, bytes);
      if (i % 97 == 0) arena.trim();
      if (arena.stats().in_use_bytes < bytes) ++torn;
      if (held.size() > 8) release();
    }
    while (!held.empty()) release();
  };
  std::vector<std::thread> team;
  for (int t = 1; t <= 4; ++t) team.emplace_back(work, t);
  for (std::thread& thread : team) thread.join();
  CHECK(torn == 0);
  CHECK(arena.stats().in_use_bytes == 0);
  CHECK(arena.stats().peak_bytes > 0);
}
