// Shape: up to five axes, the last one fastest. Images are [N, H, W, C].
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <string>

namespace gliograd {

class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;
  /// Errors: Error when there are more than five axes, an axis is negative, or the product
  /// overflows.
  Shape(std::initializer_list<int64_t> dims);
  static Shape of(const int64_t* dims, int rank);

  int rank() const { return rank_; }
  /// Axis i; negative i counts from the last axis. Error when there is no such axis.
  int64_t dim(int i) const;
  int64_t operator[](int i) const { return dims_[i]; }
  /// Number of elements; 1 for a scalar (rank 0).
  int64_t size() const;
  /// This shape with axis i replaced.
  Shape with(int i, int64_t value) const;

  bool operator==(const Shape&) const = default;

 private:
  std::array<int64_t, kMaxRank> dims_{};  // unused axes stay 0, so == compares whole arrays
  int rank_ = 0;
};

/// "[32, 56, 56, 64]"
std::ostream& operator<<(std::ostream& out, const Shape& shape);
std::string to_string(const Shape& shape);

}  // namespace gliograd
