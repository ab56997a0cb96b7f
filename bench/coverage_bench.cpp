// How often the printed 95 % intervals hold the truth, and how often the paired test rejects when
// both arms are equally good: simulated binormal cohorts of the study's size. docs/statistics.md
// shows the results.
//   build/bench/bench_coverage [COHORTS] [POSITIVES] [NEGATIVES] [SEED]
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "apps/study/auc.hpp"
#include "apps/study/bootstrap.hpp"

using namespace gliograd::study;

namespace {

struct Plan {
  int cohorts = 2000, positives = 24, negatives = 86;
  unsigned seed = 1;
};

// Standard normal quantile by bisection of erfc; only a few calls.
double normal_quantile(double p) {
  double low = -9, high = 9;
  for (int i = 0; i < 100; ++i) {
    const double middle = 0.5 * (low + high);
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

// Scores of unit variance in each class, share `common` of it the patient's own (the same in every
// repeat and arm), the positives `shift` higher: the true AUC is Phi(shift / sqrt 2).
class Cohort {
 public:
  Cohort(std::mt19937_64& random, const Plan& plan) : random_(random) {
    for (int i = 0; i < plan.positives + plan.negatives; ++i) {
      positive_.push_back(i < plan.positives);
      own_.push_back(normal_(random_));
    }
  }
  Scores arm(double shift, double common, int repeats) {
    Scores s;
    s.name = "simulated";
    s.positive = positive_;
    for (int r = 0; r < repeats; ++r) {
      s.repeats.emplace_back();
      for (size_t i = 0; i < own_.size(); ++i) {
        s.repeats.back().push_back(shift * positive_[i] + std::sqrt(common) * own_[i] +
                                   std::sqrt(1 - common) * normal_(random_));
      }
    }
    return s;
  }

 private:
  std::mt19937_64& random_;
  std::normal_distribution<double> normal_;
  std::vector<uint8_t> positive_;
  std::vector<double> own_;
};

struct Tally {
  double held = 0, below = 0, above = 0, width = 0;
  void add(const Interval& interval, double truth) {
    held += interval.low <= truth && truth <= interval.high;
    below += interval.high < truth;  // the interval lies below the truth
    above += interval.low > truth;
    width += interval.high - interval.low;
  }
  void print(const char* name, double n) const {
    std::printf(" %9s %6.1f %6.1f %6.1f %7.3f", name, 100 * held / n, 100 * below / n,
                100 * above / n, width / n);
  }
};

void cover(const Plan& plan, double truth, int repeats) {
  std::mt19937_64 random(plan.seed);
  const double shift = std::sqrt(2.0) * normal_quantile(truth);
  Tally delong, bootstrap;
  double mean = 0;
  for (int c = 0; c < plan.cohorts; ++c) {
    Cohort cohort(random, plan);
    const Scores s = cohort.arm(shift, 0.7, repeats);
    mean += auc(s);
    delong.add(*delong_interval(s), truth);
    bootstrap.add(bootstrap_interval(s, {.draws = 2000, .seed = plan.seed + c}), truth);
  }
  std::printf("%5.2f %7d %9.4f", truth, repeats, mean / plan.cohorts);
  delong.print("DeLong", plan.cohorts);
  bootstrap.print("bootstrap", plan.cohorts);
  std::printf("\n");
  std::fflush(stdout);
}

void reject(const Plan& plan, double truth, int repeats) {
  std::mt19937_64 random(plan.seed);
  const double shift = std::sqrt(2.0) * normal_quantile(truth);
  int rejected = 0, outside = 0;
  for (int c = 0; c < plan.cohorts; ++c) {
    Cohort cohort(random, plan);
    const Scores a = cohort.arm(shift, 0.5, repeats), b = cohort.arm(shift, 0.5, repeats);
    const PairedTest test = paired_delong(a, b);
    rejected += test.p && *test.p < 0.05;
    const Interval interval =
        paired_bootstrap_interval(a, b, {.draws = 2000, .seed = plan.seed + c});
    outside += interval.low > 0 || interval.high < 0;
  }
  std::printf("%5.2f %7d %24.1f %24.1f\n", truth, repeats, 100.0 * rejected / plan.cohorts,
              100.0 * outside / plan.cohorts);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  if (argc > 1) plan.cohorts = std::atoi(argv[1]);
  if (argc > 2) plan.positives = std::atoi(argv[2]);
  if (argc > 3) plan.negatives = std::atoi(argv[3]);
  if (argc > 4) plan.seed = static_cast<unsigned>(std::atoi(argv[4]));
  if (plan.cohorts < 1 || plan.positives < 2 || plan.negatives < 2) {
    std::fprintf(stderr, "bench_coverage [COHORTS] [POSITIVES >= 2] [NEGATIVES >= 2] [SEED]\n");
    return 2;
  }
  const auto start = std::chrono::steady_clock::now();
  std::printf(
      "%d binormal cohorts of %d against %d, seed %u; per cent (standard error %.1f at 95)\n",
      plan.cohorts, plan.positives, plan.negatives, plan.seed,
      100 * std::sqrt(0.95 * 0.05 / plan.cohorts));
  std::printf("%5s %7s %9s %9s %6s %6s %6s %7s %9s %6s %6s %6s %7s\n", "AUC", "repeats", "mean", "",
              "held", "below", "above", "width", "", "held", "below", "above", "width");
  for (const double truth : {0.5, 0.6, 0.7, 0.8, 0.9, 0.95}) cover(plan, truth, 1);
  for (const double truth : {0.6, 0.8}) cover(plan, truth, 5);
  std::printf("\nequal arms, correlation 0.5: per cent rejected at 5\n%5s %7s %24s %24s\n", "AUC",
              "repeats", "paired DeLong", "bootstrap without 0");
  for (const double truth : {0.5, 0.7, 0.9}) reject(plan, truth, 1);
  reject(plan, 0.7, 5);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::fprintf(stderr, "%.1f s\n", seconds.count());
  return 0;
}
