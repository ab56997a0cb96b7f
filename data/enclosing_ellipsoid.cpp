// The smallest ellipsoid around points, by Khachiyan's algorithm with away steps. Points are lifted
// to q = (x, 1); weights u on them give the 4x4 matrix S = sum u q q'; the weights are best where
// q' S^-1 q <= 4 for all points, with equality on those that carry weight. Each step moves weight
// towards the point that breaks this most (or away from one inside), by the best amount in closed
// form. The ellipsoid's center and shape are the mean and three times the covariance of u.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "data/shape_features.hpp"
#include "engine/core/error.hpp"

namespace gliograd::data {
namespace {

constexpr int kLifted = 4;
constexpr double kTolerance = 2e-7;  // of q' S^-1 q; the volume's error is twice that
constexpr int kMostSteps = 100000;   // some hundreds are used

using Point = std::array<double, 3>;
using Lifted = std::array<double, kLifted>;
using Matrix = std::array<Lifted, kLifted>;

/// S = L L'. False where S is singular to working precision.
bool cholesky(const Matrix& s, Matrix& l) {
  l = {};
  for (int i = 0; i < kLifted; ++i) {
    for (int j = 0; j <= i; ++j) {
      double sum = s[i][j];
      for (int k = 0; k < j; ++k) sum -= l[i][k] * l[j][k];
      if (i == j) {
        if (!(sum > 1e-12 * s[i][i])) return false;
        l[i][i] = std::sqrt(sum);
      } else {
        l[i][j] = sum / l[j][j];
      }
    }
  }
  return true;
}

/// q' S^-1 q = |L^-1 q|^2.
double form(const Matrix& l, const Lifted& q) {
  Lifted y{};
  double sum = 0;
  for (int i = 0; i < kLifted; ++i) {
    double v = q[i];
    for (int k = 0; k < i; ++k) v -= l[i][k] * y[k];
    y[i] = v / l[i][i];
    sum += y[i] * y[i];
  }
  return sum;
}

void add_outer(Matrix& s, double weight, const Lifted& q) {
  for (int i = 0; i < kLifted; ++i) {
    for (int j = 0; j < kLifted; ++j) s[i][j] += weight * q[i] * q[j];
  }
}

Matrix weighted_moments(const std::vector<Lifted>& q, const std::vector<double>& u) {
  Matrix s{};
  for (size_t i = 0; i < q.size(); ++i) {
    if (u[i] > 0) add_outer(s, u[i], q[i]);
  }
  return s;
}

/// The points are shifted and scaled to mean 0 and deviation 1 on each axis, for the arithmetic's
/// sake; `unit` is the volume of one unit then.
std::vector<Lifted> standardized(const std::vector<Point>& points, double& unit) {
  std::vector<Lifted> lifted(points.size(), Lifted{0, 0, 0, 1});
  unit = 1;
  for (int axis = 0; axis < 3; ++axis) {
    double mean = 0, square = 0;
    for (const Point& p : points) mean += p[axis] / static_cast<double>(points.size());
    for (const Point& p : points) square += (p[axis] - mean) * (p[axis] - mean);
    const double deviation = std::sqrt(square / static_cast<double>(points.size()));
    GG_CHECK(deviation > 0, "enclosing ellipsoid: the points lie in one plane");
    for (size_t i = 0; i < points.size(); ++i)
      lifted[i][axis] = (points[i][axis] - mean) / deviation;
    unit *= deviation;
  }
  return lifted;
}

/// Equal weights on the extreme points in 13 directions: close to the answer, and few.
std::vector<double> first_weights(const std::vector<Lifted>& q) {
  std::vector<double> u(q.size(), 0.0);
  for (int code = 14; code < 27; ++code) {
    const int direction[3] = {code / 9 - 1, code / 3 % 3 - 1, code % 3 - 1};
    size_t least = 0, most = 0;
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (size_t i = 0; i < q.size(); ++i) {
      const double along = q[i][0] * direction[0] + q[i][1] * direction[1] + q[i][2] * direction[2];
      if (along < low) low = along, least = i;
      if (along > high) high = along, most = i;
    }
    u[least] = u[most] = 1;
  }
  const auto used = static_cast<double>(std::count(u.begin(), u.end(), 1.0));
  for (double& weight : u) weight /= used;
  return u;
}

}  // namespace

double enclosing_ellipsoid_volume(const std::vector<Point>& points) {
  GG_CHECK(points.size() >= 4, "enclosing ellipsoid: four points at least; got ", points.size());
  double unit = 1;
  const std::vector<Lifted> q = standardized(points, unit);
  std::vector<double> u = first_weights(q);
  Matrix s = weighted_moments(q, u), l{};
  if (!cholesky(s, l)) {
    std::fill(u.begin(), u.end(), 1.0 / static_cast<double>(q.size()));
    s = weighted_moments(q, u);
  }
  double most = 0;
  for (int step = 0; step < kMostSteps; ++step) {
    GG_CHECK(cholesky(s, l), "enclosing ellipsoid: the points lie in one plane");
    size_t outer = 0, inner = 0;
    most = 0;
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < q.size(); ++i) {
      const double m = form(l, q[i]);
      if (m > most) most = m, outer = i;
      if (u[i] > 0 && m < least) least = m, inner = i;
    }
    if (most <= kLifted * (1 + kTolerance)) break;
    const bool away = kLifted - least > most - kLifted;
    const size_t j = away ? inner : outer;
    const double m = away ? least : most;
    double move = (m - kLifted) / (kLifted * (m - 1));
    bool dropped = false;
    if (away) {
      const double all = -u[j] / (1 - u[j]);
      dropped = m <= 1 || move <= all;
      if (dropped) move = all;
    }
    for (double& weight : u) weight *= 1 - move;
    u[j] = dropped ? 0 : u[j] + move;
    if (step % 64 == 63) {
      s = weighted_moments(q, u);  // rounding does not pile up
    } else {
      for (Lifted& row : s) {
        for (double& value : row) value *= 1 - move;
      }
      add_outer(s, move, q[j]);
    }
  }
  // det of 3 * covariance = 27 * det S, for S's last row is (mean, 1). Grown until it holds all.
  const double det_root = l[0][0] * l[1][1] * l[2][2] * l[3][3];
  const double grown = std::pow(std::max(1.0, (most - 1) / 3), 1.5);
  return 4.0 / 3.0 * M_PI * std::sqrt(27.0) * det_root * grown * unit;
}

}  // namespace gliograd::data
