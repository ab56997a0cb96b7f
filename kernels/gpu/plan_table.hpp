// What a handle of a vendor library keeps of its plans: one for each product met so far.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gliograd::kernels {

/// Bounded: networks ask for a few dozen products; a program that asks for ever new ones keeps no
/// more than the names of what it took. A Plan has facts.name. `find(most, name)` gives the
/// library's first `most` plans for the product of the key, or, with a name, that one alone. Not
/// for two threads at once.
template <class Key, class Plan>
class PlanTable {
 public:
  explicit PlanTable(size_t most = 1024) : most_(most) {}

  /// That which was taken, else the library's first; empty where it has none. Stays where it is
  /// until the next call.
  template <class Find>
  const std::optional<Plan>& plan(const Key& key, const Find& find) {
    const auto found = plans_.find(key);
    if (found != plans_.end()) return found->second;
    if (plans_.size() >= most_) plans_.clear();
    const auto chosen = taken_.find(key);  // of a plan that had to make room
    std::vector<Plan> first = find(1, chosen == taken_.end() ? "" : chosen->second);
    return plans_[key] = first.empty() ? std::nullopt : std::optional(std::move(first.front()));
  }

  /// Those to choose from; kept for take() until the next product is asked for.
  template <class Find>
  const std::vector<Plan>& list(const Key& key, const Find& find, int most) {
    listed_ = {key, find(most, "")};
    return listed_->second;
  }

  /// From now on plan() answers with the one of that name; false where there is none, and nothing
  /// changes.
  template <class Find>
  bool take(const Key& key, const Find& find, const std::string& name) {
    std::vector<Plan> found;
    if (listed_ && listed_->first == key) {
      for (const Plan& plan : listed_->second) {
        if (found.empty() && plan.facts.name == name) found = {plan};  // as find() would
      }
    }
    if (found.empty()) found = find(1, name);
    if (found.empty()) return false;
    plans_[key] = std::move(found.front());
    taken_[key] = name;
    return true;
  }

 private:
  size_t most_;
  std::map<Key, std::optional<Plan>> plans_;
  std::optional<std::pair<Key, std::vector<Plan>>> listed_;
  std::map<Key, std::string> taken_;  // names alone: they outlast the plans
};

}  // namespace gliograd::kernels
