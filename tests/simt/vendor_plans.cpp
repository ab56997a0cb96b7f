#include "tests/simt/vendor_plans.hpp"

#include <atomic>

namespace gliograd::simt {
namespace {

std::array<std::atomic<double>, 3> plan_delays{};
std::atomic<double> bias_delay{0}, bare_delay{0};

}  // namespace

void set_plan_delays(const std::array<double, 3>& ms) {
  for (size_t i = 0; i < ms.size(); ++i) plan_delays[i] = ms[i];
}
void set_bias_delay(double ms) { bias_delay = ms; }
void set_bare_delay(double ms) { bare_delay = ms; }
bool serves_bias() { return bias_delay >= 0; }
double plan_delay(size_t plan, bool bias) {
  const double delay = plan_delays[plan];
  return delay < 0 ? delay : delay + (bias ? bias_delay : bare_delay);
}

}  // namespace gliograd::simt
