// How far numbers are from those they are held against.
#pragma once
#include <cmath>
#include <vector>

namespace gliograd::test {

/// ||a - b|| / ||b||. NaN, which no bound lets through, where their lengths differ.
inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return NAN;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

}  // namespace gliograd::test
