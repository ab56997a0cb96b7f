// Fibers, barriers, warp operations, and the order in which all of it runs: blocks and threads in a
// seeded random order, because none may matter.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "kernels/base.hpp"
#include "tests/simt/device.hpp"
#include "tests/simt/machine.hpp"

#ifndef __x86_64__
#error "the emulator's fibers are written for x86-64"
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

// Saves the registers that a called function must keep, and takes up another stack.
extern "C" void gg_simt_switch(void** save_stack, void* load_stack);
asm(R"(
.text
.globl gg_simt_switch
.type gg_simt_switch, @function
gg_simt_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size gg_simt_switch, .-gg_simt_switch
)");

namespace gliograd::simt {

Machine machine;

namespace {

constexpr int kWarp = 32;

enum class State : uint8_t { ready, at_barrier, at_warp_operation, done };

struct Fiber {
  void* stack_pointer = nullptr;
  uint3 index{};
  State state = State::done;
  Place place{};
  // Of the warp operation it waits at.
  WarpOp op{};
  uint32_t mask = 0;
  int source_lane = 0;
  uint64_t value = 0, answer = 0;
  uint16_t warp_syncs = 0;
};

// Lanes that have come to the operation that a warp is gathering at; a second one at the same time
// (two halves of a diverged warp) is looked up among the fibers.
struct Gathering {
  uint32_t mask, arrived;
  WarpOp op;
  int line;
};

std::array<Fiber, kMostThreads> fibers;
std::array<Gathering, kMostThreads / kWarp> gatherings;
char* stacks = nullptr;
void* scheduler_stack = nullptr;
Kernel kernel;
Options options;
std::mt19937_64 order_source;

std::string text_of(uint3 i) {
  return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}

std::string text_of(Place place) {
  const std::string file = place.file;
  return file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(place.line);
}

void to_scheduler() { gg_simt_switch(&fibers[machine.current].stack_pointer, scheduler_stack); }

void fiber_main() {
  // An exception must not unwind past the fiber's first frame.
  bool threw = false;
  try {
    kernel.call(kernel.frame);
  } catch (const std::exception& error) {
    threw = true;
    add_finding("exception", name_of_thread(machine.current) + " throws: " + error.what());
  }
  if (threw) abandon();
  fibers[machine.current].state = State::done;
  to_scheduler();
  __builtin_unreachable();
}

void prepare(int t) {
  Fiber& fiber = fibers[t];
  fiber = {};
  fiber.state = State::ready;
  const auto i = static_cast<uint32_t>(t);
  fiber.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
  // What gg_simt_switch pops: six registers, then the address of fiber_main. A function finds the
  // stack 16-byte aligned but for the return address that its call pushed.
  void** top = reinterpret_cast<void**>(stacks + (t + 1) * kStackBytes) - 2;
  top[0] = reinterpret_cast<void*>(fiber_main);
  top[1] = nullptr;
  fiber.stack_pointer = top - 6;
}

void finish_warp_operation(int first, uint32_t mask) {
  uint32_t ballot = 0;
  for (int l = 0; l < kWarp; ++l) {
    if ((mask >> l & 1) != 0 && fibers[first + l].value != 0) ballot |= 1u << l;
  }
  for (int l = 0; l < kWarp; ++l) {
    if ((mask >> l & 1) == 0) continue;
    Fiber& fiber = fibers[first + l];
    switch (fiber.op) {
      case WarpOp::sync: ++fiber.warp_syncs; break;
      case WarpOp::ballot: fiber.answer = ballot; break;
      case WarpOp::any: fiber.answer = ballot != 0; break;
      case WarpOp::all: fiber.answer = ballot == mask; break;
      case WarpOp::shuffle:
        if ((mask >> fiber.source_lane & 1) == 0 &&
            is_new_finding("lane", static_cast<uint64_t>(fiber.place.line))) {
          add_finding("lane", name_of_thread(first + l) + " reads from lane " +
                                  std::to_string(fiber.source_lane) +
                                  ", which is not in the mask, at " + text_of(fiber.place));
        }
        fiber.answer = fibers[first + fiber.source_lane].value;
        break;
    }
    fiber.state = State::ready;
  }
}

/// Every fiber that has not returned waits at a barrier: let them go on, and say what is wrong.
void pass_barrier(const std::vector<int>& order, int returned) {
  const auto first = std::find_if(order.begin(), order.end(),
                                  [](int t) { return fibers[t].state != State::done; });
  const Place place = fibers[*first].place;
  const auto other = std::find_if(order.begin(), order.end(), [&](int t) {
    return fibers[t].state == State::at_barrier && fibers[t].place.line != place.line;
  });
  if (other != order.end() && is_new_finding("divergence", place.line, fibers[*other].place.line)) {
    add_finding("divergence", name_of_thread(*first) + " and " + name_of_thread(*other) +
                                  " meet at different barriers: " + text_of(place) + " and " +
                                  text_of(fibers[*other].place));
  }
  if (returned > 0 && options.strict_exits && is_new_finding("divergence", place.line)) {
    add_finding("divergence", std::to_string(returned) + " threads of " + name_of_running_block() +
                                  " returned while others wait at the barrier at " +
                                  text_of(place));
  }
  for (int t = 0; t < machine.threads; ++t) {
    if (fibers[t].state != State::at_barrier) continue;
    fibers[t].state = State::ready;
    fibers[t].warp_syncs = 0;
  }
  ++machine.epoch;
}

/// Runs fibers until none can go on. Returns how many have returned; -1 where the launch ends.
int run_ready(const std::vector<int>& order) {
  for (bool moved = true; moved;) {
    moved = false;
    for (const int t : order) {
      while (fibers[t].state == State::ready) {
        moved = true;
        machine.current = t;
        threadIdx = fibers[t].index;
        gg_simt_switch(&scheduler_stack, fibers[t].stack_pointer);
        machine.current = -1;
        if (machine.abandoned) return -1;
      }
    }
  }
  return static_cast<int>(std::count_if(order.begin(), order.end(),
                                        [](int t) { return fibers[t].state == State::done; }));
}

void run_block(size_t dynamic_bytes) {
  ++machine.block_serial;
  ++machine.epoch;
  begin_block_memory(dynamic_bytes);
  gatherings.fill({});
  std::vector<int> order(static_cast<size_t>(machine.threads));
  for (int t = 0; t < machine.threads; ++t) prepare(order[t] = t);
  std::shuffle(order.begin(), order.end(), order_source);
  for (;;) {
    const int returned = run_ready(order);
    if (returned < 0 || returned == machine.threads) return;
    const auto stuck = std::find_if(order.begin(), order.end(), [](int t) {
      return fibers[t].state == State::at_warp_operation;
    });
    if (stuck != order.end()) {
      if (is_new_finding("divergence", static_cast<uint64_t>(fibers[*stuck].place.line))) {
        add_finding("divergence",
                    name_of_thread(*stuck) + " waits forever at the warp operation at " +
                        text_of(fibers[*stuck].place) + ": not all lanes of its mask come there");
      }
      machine.abandoned = true;
      return;
    }
    pass_barrier(order, returned);
  }
}

/// The OS thread that all kernels run on.
class DeviceThread {
 public:
  DeviceThread() : thread_([this] { loop(); }) {}
  ~DeviceThread() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  void run(const std::function<void()>& work) {
    if (std::this_thread::get_id() == thread_.get_id()) return work();
    const std::lock_guard turn(turns_);
    std::unique_lock lock(mutex_);
    work_ = &work;
    wake_.notify_all();
    wake_.wait(lock, [&] { return work_ == nullptr; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  void loop() {
    machine.device_thread = pthread_self();
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stop_ || work_ != nullptr; });
      if (stop_) return;
      try {
        (*work_)();
      } catch (...) {
        error_ = std::current_exception();
      }
      work_ = nullptr;
      wake_.notify_all();
    }
  }

  std::mutex turns_, mutex_;
  std::condition_variable wake_;
  const std::function<void()>* work_ = nullptr;
  std::exception_ptr error_;
  bool stop_ = false;
  std::thread thread_;
};

DeviceThread& device_thread() {
  static DeviceThread thread;
  return thread;
}

/// All blocks, in random order. A large grid is shuffled too: the numbers are small.
void run_grid(const Shape& shape) {
  const uint64_t blocks = uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z;
  std::vector<uint32_t> order(blocks);
  for (uint64_t b = 0; b < blocks; ++b) order[b] = static_cast<uint32_t>(b);
  std::shuffle(order.begin(), order.end(), order_source);
  machine.first_block = machine.block_serial + 1;
  for (const uint32_t b : order) {
    blockIdx = {b % shape.grid.x, b / shape.grid.x % shape.grid.y,
                b / (shape.grid.x * shape.grid.y)};
    run_block(shape.shared_bytes);
    if (machine.abandoned) return;
  }
}

}  // namespace

std::string name_of_running_block() { return "block " + text_of(blockIdx); }
std::string name_of_thread(int thread) {
  return "thread " + text_of(fibers[thread].index) + " in " + name_of_running_block();
}
uint16_t warp_syncs(int thread) { return fibers[thread].warp_syncs; }
bool on_own_stack(uintptr_t address) {
  return address - (reinterpret_cast<uintptr_t>(stacks) + machine.current * kStackBytes) <
         kStackBytes;
}
bool is_parameter(uintptr_t address) {
  return address - reinterpret_cast<uintptr_t>(kernel.frame) < kernel.frame_bytes;
}
void abandon() {
  machine.abandoned = true;
  machine.checking = false;
  to_scheduler();
  __builtin_unreachable();
}

int lane() { return machine.current % kWarp; }

void block_barrier(Place place) {
  Fiber& fiber = fibers[machine.current];
  fiber.state = State::at_barrier;
  fiber.place = place;
  to_scheduler();
}

uint64_t warp_operation(WarpOp op, uint32_t mask, uint64_t value, int source_lane, Place place) {
  Fiber& self = fibers[machine.current];
  const int first = machine.current / kWarp * kWarp;
  if (first + kWarp > machine.threads) mask &= (1u << (machine.threads - first)) - 1;
  if ((mask >> lane() & 1) == 0) {
    if (is_new_finding("lane", static_cast<uint64_t>(place.line))) {
      add_finding("lane",
                  name_of_thread(machine.current) + " is not in its own mask at " + text_of(place));
    }
    abandon();
  }
  self.op = op;
  self.mask = mask;
  self.value = value;
  self.source_lane = source_lane;
  self.place = place;
  self.state = State::at_warp_operation;
  Gathering& gathering = gatherings[machine.current / kWarp];
  const auto gathers_here = [&] {
    return gathering.arrived != 0 && gathering.mask == mask && gathering.op == op &&
           gathering.line == place.line;
  };
  uint32_t arrived = 0;
  if (gathers_here()) {
    arrived = gathering.arrived |= 1u << lane();
  } else {
    for (int l = 0; l < kWarp && first + l < machine.threads; ++l) {
      const Fiber& other = fibers[first + l];
      const bool same = other.state == State::at_warp_operation && other.mask == mask &&
                        other.op == op && other.place.line == place.line;
      if ((mask >> l & 1) != 0 && same) arrived |= 1u << l;
    }
    if (gathering.arrived == 0) gathering = {mask, arrived, op, place.line};
  }
  if (arrived != mask) {
    to_scheduler();
    return self.answer;
  }
  if (gathers_here()) gathering.arrived = 0;
  finish_warp_operation(first, mask);  // the last to come goes on at once
  return self.answer;
}

void check_shape(const Shape& shape) {
  const uint64_t threads = uint64_t{shape.block.x} * shape.block.y * shape.block.z;
  const uint64_t blocks = uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z;
  if (threads == 0 || threads > kMostThreads || shape.block.z > 64) {
    throw Error("launch refused: " + std::to_string(threads) + " threads in a block");
  }
  if (blocks == 0 || shape.grid.y > 65535 || shape.grid.z > 65535 || shape.grid.x > 0x7fffffff) {
    throw Error("launch refused: a grid of " + text_of({shape.grid.x, shape.grid.y, shape.grid.z}));
  }
  if (shape.shared_bytes > kMostSharedBytes) {
    throw Error("launch refused: " + std::to_string(shape.shared_bytes) +
                " bytes of dynamic shared memory");
  }
}

void set_options(const Options& wanted) {
  options = wanted;
  order_source.seed(wanted.seed);
}

void on_device_thread(const std::function<void()>& work) {
  const OpenMemory open;
  device_thread().run(work);
}

void run(const Shape& shape, const Kernel& launched) {
  check_shape(shape);
  on_device_thread([&] {
    if (stacks == nullptr) {
      void* memory = mmap(nullptr, kMostThreads * kStackBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (memory == MAP_FAILED) throw WorkError("no memory for the fibers' stacks");
      stacks = static_cast<char*>(memory);
    }
    kernel = launched;
    blockDim = shape.block;
    gridDim = shape.grid;
    machine.threads = static_cast<int>(shape.block.x * shape.block.y * shape.block.z);
    machine.abandoned = false;
    begin_launch_memory();
    run_grid(shape);
    end_launch_memory();
    machine.current = -1;
  });
}

}  // namespace gliograd::simt
