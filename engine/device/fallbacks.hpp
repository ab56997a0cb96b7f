// Work on a GPU that no plan of a vendor's library serves, and kernels of any shape do instead:
// right, and slow. Counted, so that it can be shown.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace gliograd {

/// What one stream met; Stream::local() holds it.
class Fallbacks {
 public:
  /// `what`: the op, its pass and its shape. Each call is one launch, or one place in a recorded
  /// step.
  void add(const std::string& what) { ++counts_[what]; }
  const std::map<std::string, int64_t>& counts() const { return counts_; }

 private:
  std::map<std::string, int64_t> counts_;
};

}  // namespace gliograd
