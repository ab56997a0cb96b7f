#include "engine/device/live_blocks.hpp"

#include <algorithm>
#include <cstdio>
#include <tuple>
#include <utility>

#include "engine/core/error.hpp"

namespace gliograd {

std::string bytes_text(int64_t bytes) {
  const char* const units[] = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < std::size(units)) value /= 1000, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

std::string to_string(const BlockUse& use) {
  return concat_text(use.op != nullptr ? use.op : "weights or data", ' ', use.shape, ' ',
                     use.dtype);
}

size_t LiveBlocks::add(const BlockUse& use) {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) {
    free_.push_back(uses_.size());
    uses_.emplace_back();
    live_.push_back(false);
  }
  const size_t number = free_.back();
  free_.pop_back();
  uses_[number] = use;
  live_[number] = true;
  return number;
}

void LiveBlocks::remove(size_t number) {
  const std::lock_guard lock(mutex_);
  live_[number] = false;
  free_.push_back(number);
}

const char* LiveBlocks::set_op(const char* op) {
  const std::lock_guard lock(mutex_);
  return std::exchange(op_, op);
}

const char* LiveBlocks::op() const {
  const std::lock_guard lock(mutex_);
  return op_;
}

std::string LiveBlocks::largest(size_t count) const {
  struct Group {
    std::string name;
    int64_t blocks = 0, bytes = 0;
  };
  std::vector<Group> groups;
  int64_t all = 0;
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < uses_.size(); ++i) {
    if (!live_[i]) continue;
    const std::string name = to_string(uses_[i]);
    auto group =
        std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.name == name; });
    if (group == groups.end()) group = groups.insert(groups.end(), {name});
    ++group->blocks;
    group->bytes += uses_[i].bytes();
    all += uses_[i].bytes();
  }
  std::sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    return std::tie(b.bytes, a.name) < std::tie(a.bytes, b.name);
  });
  std::string text = bytes_text(all) + " in use";
  for (size_t i = 0; i < std::min(count, groups.size()); ++i) {
    const Group& g = groups[i];
    text += i == 0 ? ": " : ", ";
    if (g.blocks > 1) text += concat_text(g.blocks, " x ");
    text += concat_text(g.name, ' ', bytes_text(g.bytes));
  }
  return text;
}

}  // namespace gliograd
