#include "apps/study/logistic.hpp"

#include <algorithm>
#include <cmath>

#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

constexpr int kMaxSteps = 200;
// On the intercepts of several classes, whose common shift changes nothing: makes the Hessian
// regular without moving the answer, for the gradient has no part in that direction.
constexpr double kShiftRidge = 1e-8;

// The problem with all parameters in one vector: weights of free class k, then its intercept, ...
struct Problem {
  const std::vector<std::vector<double>>& rows;
  const std::vector<int32_t>& labels;
  std::vector<double> weight;  // [n]
  double penalty;
  int classes;
  size_t features;

  int first_free() const { return classes == 2 ? 1 : 0; }  // two classes: class 0 has logit 0
  size_t stride() const { return features + 1; }
  size_t size() const { return static_cast<size_t>(classes - first_free()) * stride(); }
};

void softmax(std::vector<double>& logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double& z : logits) sum += z = std::exp(z - top);
  for (double& z : logits) z /= sum;
}

std::vector<double> logits_of(const std::vector<double>& theta, const std::vector<double>& row,
                              int classes, int first_free) {
  std::vector<double> logits(classes, 0);
  const size_t stride = row.size() + 1;
  for (int k = first_free; k < classes; ++k) {
    const double* w = theta.data() + static_cast<size_t>(k - first_free) * stride;
    double z = w[row.size()];
    for (size_t f = 0; f < row.size(); ++f) z += w[f] * row[f];
    logits[k] = z;
  }
  return logits;
}

// sum_i s_i * -log p(label_i) + penalty / 2 * |w|^2
double objective(const Problem& problem, const std::vector<double>& theta) {
  double sum = 0;
  for (size_t i = 0; i < problem.rows.size(); ++i) {
    const std::vector<double> z =
        logits_of(theta, problem.rows[i], problem.classes, problem.first_free());
    const double top = *std::max_element(z.begin(), z.end());
    double total = 0;
    for (const double v : z) total += std::exp(v - top);
    sum += problem.weight[i] * (top + std::log(total) - z[problem.labels[i]]);
  }
  for (size_t row = 0; row < theta.size(); row += problem.stride()) {
    for (size_t f = 0; f < problem.features; ++f) {  // behind them the intercept
      sum += 0.5 * problem.penalty * theta[row + f] * theta[row + f];
    }
  }
  return sum;
}

// d/dw_k = sum_i s_i (p_k - [label_i = k]) x_i + penalty w_k;
// d2/dw_k dw_l = sum_i s_i p_k ([k = l] - p_l) x_i x_i' + penalty [k = l], x with a 1 behind it.
void derivatives(const Problem& problem, const std::vector<double>& theta,
                 std::vector<double>& gradient, std::vector<double>& hessian) {
  const size_t m = problem.size(), stride = problem.stride();
  const int first = problem.first_free();
  gradient.assign(m, 0);
  hessian.assign(m * m, 0);
  std::vector<double> x(stride, 1);
  for (size_t i = 0; i < problem.rows.size(); ++i) {
    std::copy(problem.rows[i].begin(), problem.rows[i].end(), x.begin());
    std::vector<double> p = logits_of(theta, problem.rows[i], problem.classes, first);
    softmax(p);
    for (int k = first; k < problem.classes; ++k) {
      const size_t at = static_cast<size_t>(k - first) * stride;
      const double slope = problem.weight[i] * (p[k] - (problem.labels[i] == k ? 1 : 0));
      for (size_t f = 0; f < stride; ++f) gradient[at + f] += slope * x[f];
      for (int l = first; l <= k; ++l) {
        const size_t to = static_cast<size_t>(l - first) * stride;
        const double curve = problem.weight[i] * p[k] * ((k == l ? 1 : 0) - p[l]);
        for (size_t f = 0; f < stride; ++f) {
          for (size_t g = 0; g < stride; ++g) {
            hessian[(at + f) * m + to + g] += curve * x[f] * x[g];
          }
        }
      }
    }
  }
  for (size_t j = 0; j < m; ++j) {
    const bool intercept = j % stride == problem.features;
    gradient[j] += intercept ? 0 : problem.penalty * theta[j];
    hessian[j * m + j] += !intercept ? problem.penalty : first == 0 ? kShiftRidge : 0;
  }
}

// Solves A x = b by Cholesky; A's lower half, overwritten. False when A is not positive definite.
bool solve(std::vector<double>& a, std::vector<double>& b) {
  const size_t m = b.size();
  for (size_t j = 0; j < m; ++j) {
    for (size_t i = j; i < m; ++i) {
      double sum = a[i * m + j];
      for (size_t k = 0; k < j; ++k) sum -= a[i * m + k] * a[j * m + k];
      if (i == j && !(sum > 0)) return false;
      a[i * m + j] = i == j ? std::sqrt(sum) : sum / a[j * m + j];
    }
  }
  for (size_t i = 0; i < m; ++i) {
    for (size_t k = 0; k < i; ++k) b[i] -= a[i * m + k] * b[k];
    b[i] /= a[i * m + i];
  }
  for (size_t i = m; i-- > 0;) {
    for (size_t k = i + 1; k < m; ++k) b[i] -= a[k * m + i] * b[k];
    b[i] /= a[i * m + i];
  }
  return true;
}

double largest(const std::vector<double>& values) {
  double top = 0;
  for (const double v : values) top = std::max(top, std::abs(v));
  return top;
}

Problem make_problem(const std::vector<std::vector<double>>& rows,
                     const std::vector<int32_t>& labels, int classes,
                     const LogisticOptions& options) {
  GG_CHECK(!rows.empty() && rows.size() == labels.size() && classes >= 2, "logistic: ", rows.size(),
           " rows, ", labels.size(), " labels, ", classes, " classes");
  GG_CHECK(options.penalty > 0 && std::isfinite(options.penalty),
           "logistic: the penalty must be positive; got ", options.penalty);
  std::vector<double> count(classes, 0);
  for (size_t i = 0; i < rows.size(); ++i) {
    GG_CHECK(rows[i].size() == rows[0].size(), "logistic: row ", i, " has ", rows[i].size(),
             " features, the first has ", rows[0].size());
    for (const double v : rows[i]) {
      GG_CHECK(std::isfinite(v), "logistic: row ", i, " holds a value that is not finite");
    }
    GG_CHECK(labels[i] >= 0 && labels[i] < classes, "logistic: label ", labels[i], " of row ", i,
             " is not one of ", classes, " classes");
    count[labels[i]] += 1;
  }
  Problem problem{rows, labels, {}, options.penalty, classes, rows[0].size()};
  for (int k = 0; k < classes; ++k) {
    GG_CHECK(count[k] > 0, "logistic: class ", k, " has no row");
  }
  for (const int32_t label : labels) {
    problem.weight.push_back(
        options.balance_classes ? static_cast<double>(rows.size()) / (classes * count[label]) : 1);
  }
  return problem;
}

}  // namespace

Standardizer::Standardizer(const FeatureColumns& columns, const std::vector<int32_t>& training) {
  GG_CHECK(!training.empty(), "standardizer: no training patients");
  const auto n = static_cast<double>(training.size());
  for (const std::vector<double>& values : columns) {
    Column column;
    double known = 0, sum = 0;
    for (const int32_t p : training) {
      if (std::isnan(values[p])) continue;
      known += 1;
      sum += values[p];
    }
    column.mean = known > 0 ? sum / known : 0;
    // A missing value is the mean, so it adds nothing to the squares but counts in n.
    double squares = 0;
    for (const int32_t p : training) {
      const double off = std::isnan(values[p]) ? 0 : values[p] - column.mean;
      squares += off * off;
    }
    column.deviation = std::sqrt(squares / n);
    // Of equal values the mean may be off in its last bit: that is no spread.
    if (column.deviation <= 1e-12 * std::abs(column.mean)) column.deviation = 0;
    column.has_indicator = known < n && known > 0;
    column.missing_mean = 1 - known / n;
    column.missing_deviation = std::sqrt(column.missing_mean * (1 - column.missing_mean));
    columns_.push_back(column);
  }
}

std::vector<double> Standardizer::row(const FeatureColumns& columns, int32_t patient) const {
  GG_CHECK(columns.size() == columns_.size(), "standardizer: learned ", columns_.size(),
           " columns, got ", columns.size());
  std::vector<double> row;
  for (size_t f = 0; f < columns_.size(); ++f) {
    const Column& column = columns_[f];
    const double value = columns[f][patient];
    const bool missing = std::isnan(value);
    row.push_back(missing || column.deviation == 0 ? 0 : (value - column.mean) / column.deviation);
    if (column.has_indicator) {
      row.push_back(((missing ? 1 : 0) - column.missing_mean) / column.missing_deviation);
    }
  }
  return row;
}

std::vector<double> LogisticModel::probabilities(const std::vector<double>& row) const {
  std::vector<double> theta;
  for (const auto& w : weights) {
    GG_CHECK(w.size() == row.size() + 1, "logistic: ", row.size(), " features for ", w.size() - 1,
             " weights");
    theta.insert(theta.end(), w.begin(), w.end());
  }
  std::vector<double> p = logits_of(theta, row, classes, classes == 2 ? 1 : 0);
  softmax(p);
  return p;
}

LogisticModel fit_logistic(const std::vector<std::vector<double>>& rows,
                           const std::vector<int32_t>& labels, int classes,
                           const LogisticOptions& options) {
  const Problem problem = make_problem(rows, labels, classes, options);
  double total = 0;
  for (const double w : problem.weight) total += w;
  std::vector<double> theta(problem.size(), 0), gradient, hessian;
  double value = objective(problem, theta);
  bool converged = false;
  for (int step = 0; step < kMaxSteps && !converged; ++step) {
    derivatives(problem, theta, gradient, hessian);
    converged = largest(gradient) <= 1e-10 * total;
    if (converged) break;
    std::vector<double> move = gradient;
    if (!solve(hessian, move)) break;
    bool moved = false;
    for (double scale = 1; scale > 1e-9 && !moved; scale /= 2) {
      std::vector<double> next = theta;
      for (size_t j = 0; j < next.size(); ++j) next[j] -= scale * move[j];
      const double after = objective(problem, next);
      // Near the answer a full step may raise the objective by its own rounding.
      if (!(after <= value + 1e-14 * std::abs(value))) continue;
      moved = true;
      theta = next;
      value = after;
    }
    // No descent is left in f64: the rest of the gradient is the objective's rounding.
    if (!moved) converged = largest(gradient) <= 1e-6 * total;
    if (!moved) break;
  }
  if (!converged) {
    throw WorkError(concat_text("logistic regression did not converge in ", kMaxSteps, " steps"));
  }
  LogisticModel model;
  model.classes = classes;
  for (size_t at = 0; at < theta.size(); at += problem.stride()) {
    model.weights.emplace_back(theta.begin() + static_cast<std::ptrdiff_t>(at),
                               theta.begin() + static_cast<std::ptrdiff_t>(at + problem.stride()));
  }
  return model;
}

}  // namespace gliograd::study
