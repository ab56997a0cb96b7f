// Padding: how many pixels are put around an image before a window slides over it.
#pragma once
#include <cstdint>
#include <ostream>

namespace gliograd {

/// In pixels; sides may differ ("same" padding of an even kernel or of stride 2).
struct Padding {
  int64_t top = 0;
  int64_t bottom = 0;
  int64_t left = 0;
  int64_t right = 0;

  static constexpr Padding all(int64_t pixels) { return {pixels, pixels, pixels, pixels}; }
  bool operator==(const Padding&) const = default;
};

/// "{top 0, bottom 1, left 0, right 1}"
inline std::ostream& operator<<(std::ostream& out, const Padding& p) {
  return out << "{top " << p.top << ", bottom " << p.bottom << ", left " << p.left << ", right "
             << p.right << "}";
}

}  // namespace gliograd
