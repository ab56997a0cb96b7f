// What orders the blocks of one launch: fences and atomics. A block hands over what it has written
// by a __threadfence() and, next behind it, an atomic of the same thread; another one takes that
// over by an atomic at the same address and, behind it, a fence of the same thread. What other
// threads of the two blocks write and read is ordered too, where a barrier stands before the first
// fence, and behind the second.
#include <deque>
#include <map>
#include <vector>

#include "tests/simt/device.hpp"
#include "tests/simt/machine.hpp"

namespace gliograd::simt {
namespace {

struct HandedOver {
  uint32_t block, epoch;  // of the fence
  // What it did in that epoch itself is handed over too; -1 where it has gone on there behind the
  // atomic.
  int thread;
};
struct TakenOver {
  HandedOver by;
  uint32_t epoch;
  int thread;
};

struct Fences {
  uint32_t launch = 0;                               // its first block
  std::map<const void*, std::deque<HandedOver>> at;  // by the atomic's address
  // Of the block that runs:
  uint32_t block = 0;
  std::map<int, uint32_t> fenced;              // by thread: a fence's epoch, nothing touched since
  std::multimap<int, HandedOver*> given;       // by thread: entries of `at`, nothing touched since
  std::map<int, std::vector<HandedOver>> met;  // by thread, since its last fence
  std::multimap<uint32_t, TakenOver> taken;    // by the block that handed over
};

/// Of the running block.
Fences& fences() {
  static Fences all;
  if (all.launch != machine.first_block) {
    all = {};
    all.launch = machine.first_block;
  }
  if (all.block != machine.block_serial) {
    all.block = machine.block_serial;
    all.fenced.clear();
    all.met.clear();
    all.given.clear();
    all.taken.clear();
  }
  return all;
}

}  // namespace

void device_fence() {
  if (!in_kernel()) return;
  machine.checking = true;
  Fences& own = fences();
  own.fenced[machine.current] = machine.epoch;
  for (const HandedOver& one : own.met[machine.current]) {
    own.taken.insert({one.block, {one, machine.epoch, machine.current}});
  }
  own.met.erase(machine.current);
  machine.checking = false;
}

void meet_at(const void* address) {
  Fences& own = fences();
  const auto fence = own.fenced.find(machine.current);
  const bool fenced = fence != own.fenced.end();
  const uint32_t epoch = fenced ? fence->second : 0;
  touch_device_memory();  // this atomic itself, as far as later ones are concerned
  std::deque<HandedOver>& here = own.at[address];
  std::vector<HandedOver>& met = own.met[machine.current];
  met.insert(met.end(), here.begin(), here.end());
  if (!fenced) return;
  here.push_back({machine.block_serial, epoch, machine.current});
  own.given.insert({machine.current, &here.back()});
}

void touch_device_memory() {
  Fences& own = fences();
  if (!own.fenced.empty()) own.fenced.erase(machine.current);
  if (own.given.empty()) return;
  const auto [begin, end] = own.given.equal_range(machine.current);
  for (auto one = begin; one != end; ++one) {
    if (one->second->epoch == machine.epoch) one->second->thread = -1;
  }
  own.given.erase(begin, end);
}

bool is_taken_over(uint32_t block, uint32_t epoch, int thread) {
  const auto [begin, end] = fences().taken.equal_range(block);
  for (auto one = begin; one != end; ++one) {
    const auto& [by, taken_epoch, taker] = one->second;
    const bool before = epoch < by.epoch || (epoch == by.epoch && thread == by.thread);
    const bool behind = machine.epoch > taken_epoch || machine.current == taker;
    if (before && behind) return true;
  }
  return false;
}

}  // namespace gliograd::simt
