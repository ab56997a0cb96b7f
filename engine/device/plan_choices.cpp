#include "engine/device/plan_choices.hpp"

#include <charconv>
#include <cmath>
#include <sstream>
#include <utility>
#include <vector>

#include "engine/core/error.hpp"

namespace gliograd {
namespace {

constexpr const char* kHeader = "product,plan,ms,workspace,candidates";

template <class T>
bool parse(const std::string& text, T& value) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc() && end == text.data() + text.size();
}

}  // namespace

PlanChoice PlanChoices::of(const std::string& product, const std::function<PlanChoice()>& time) {
  const std::lock_guard lock(mutex_);
  auto found = entries_.find(product);
  if (found == entries_.end()) {
    found = entries_.emplace(product, Entry{time()}).first;
    ++timed_;
  }
  if (!found->second.used) tell_used(found->second);
  return found->second.choice;
}

PlanChoice PlanChoices::renewed(const std::string& product, const std::string& gone,
                                const std::function<PlanChoice()>& time) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[product];
  if (entry.choice.plan != gone) return entry.choice;  // another network has timed it meanwhile
  entry = {time()};
  ++timed_;
  tell_used(entry);
  return entry.choice;
}

void PlanChoices::on_change(std::function<void(const std::string& csv)> told) {
  const std::lock_guard lock(mutex_);
  told_ = std::move(told);
}

void PlanChoices::tell_used(Entry& entry) const {
  entry.used = true;
  try {
    if (told_) told_(text(Which::used));
  } catch (...) {
    entry.used = false;  // whoever asks next tells it first
    throw;
  }
}

std::string PlanChoices::csv(Which which) const {
  const std::lock_guard lock(mutex_);
  return text(which);
}

std::string PlanChoices::text(Which which) const {
  std::ostringstream out;
  out << kHeader << '\n';
  for (const auto& [product, entry] : entries_) {
    const PlanChoice& c = entry.choice;
    if (which == Which::used && !entry.used) continue;
    out << product << ',' << c.plan << ',' << c.ms << ',' << c.workspace << ',' << c.candidates
        << '\n';
  }
  return out.str();
}

void PlanChoices::read(const std::string& csv, const std::string& name) {
  std::istringstream in(csv);
  std::string line;
  std::getline(in, line);
  if (line != kHeader) throw Error(name + ": the first line must be " + kHeader);
  std::map<std::string, Entry> all;
  for (int row = 2; std::getline(in, line); ++row) {
    std::vector<std::string> cells;
    std::istringstream cut(line);
    for (std::string cell; std::getline(cut, cell, ',');) cells.push_back(cell);
    PlanChoice c;
    if (cells.size() != 5 || cells[0].empty() || cells[1].empty() || !parse(cells[2], c.ms) ||
        !std::isfinite(c.ms) || !parse(cells[3], c.workspace) || c.workspace < 0 ||
        !parse(cells[4], c.candidates)) {
      throw Error(concat_text(name, ": line ", row, " is no choice of a plan: ", line));
    }
    c.plan = cells[1];
    all[cells[0]] = {c};
  }
  const std::lock_guard lock(mutex_);
  entries_.merge(all);
}

int64_t PlanChoices::timed() const {
  const std::lock_guard lock(mutex_);
  return timed_;
}

}  // namespace gliograd
