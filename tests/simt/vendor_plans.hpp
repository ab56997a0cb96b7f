// The plans of what stands in for cuDNN and cuBLASLt on the emulated GPU. There are three for each
// product. Each rounds in its own way, by less than the tests of values see, so that comparisons to
// the bit see which one computed; tests make some slow, or let them fail.
#pragma once
#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

#include "kernels/vendor_plan.hpp"

namespace gliograd::simt {

constexpr std::array<const char*, 3> kPlans = {"engine 1: a", "engine 2: b", "engine 3: c"};

/// Each plan takes so many ms longer from now on, by the clock of events, or fails where that is
/// negative.
void set_plan_delays(const std::array<double, 3>& ms);
/// A product takes so much longer where it has an epilogue (negative: no plan serves one), or where
/// it has none.
void set_epilogue_delay(double ms);
void set_bare_delay(double ms);
double plan_delay(size_t plan, bool epilogue);
bool serves_epilogue();

/// What `plan` makes of a sum.
inline double rounded_by(size_t plan, double sum) {
  return sum * (1 + static_cast<double>(plan) * 0x1p-22);
}

inline std::vector<kernels::VendorPlan> plans(int64_t workspace, int most) {
  std::vector<kernels::VendorPlan> all;
  for (const char* name : kPlans) {
    if (workspace >= 0 && static_cast<int>(all.size()) < most) all.push_back({name, workspace});
  }
  return all;
}

/// Which plan of a product was taken.
template <class Key>
class TakenPlans {
 public:
  size_t of(const Key& key) const {
    const auto found = taken_.find(key);
    return found == taken_.end() ? 0 : found->second;
  }
  bool take(const Key& key, const std::string& name) {
    const auto found = std::find(kPlans.begin(), kPlans.end(), name);
    if (found == kPlans.end()) return false;
    taken_[key] = static_cast<size_t>(found - kPlans.begin());
    return true;
  }

 private:
  std::map<Key, size_t> taken_;
};

}  // namespace gliograd::simt
