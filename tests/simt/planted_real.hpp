// Copies of real kernels with one defect planted in each: tests/CMakeLists.txt makes them from
// kernels/gpu, so they are always today's kernels. Here they are kept apart from the right ones.
#pragma once
#include <map>
#include <string>

#include "kernels/entry.hpp"

namespace gliograd::simt {

/// By the defect's name and the entry's.
std::map<std::string, void (*)()>& planted_functions();

/// What stands in a copy in place of kernels::Provide.
template <const auto& entry>
class Planted {
 public:
  using Function = typename std::remove_cvref_t<decltype(entry)>::Function;
  Planted(Function function, const char* defect) {
    planted_functions()[std::string(defect) + "/" + entry.name()] =
        reinterpret_cast<void (*)()>(function);
  }
};

/// The entry's function in the copy with that defect.
template <const auto& entry>
auto planted(const std::string& defect) {
  return reinterpret_cast<typename Planted<entry>::Function>(
      planted_functions().at(defect + "/" + entry.name()));
}

}  // namespace gliograd::simt
