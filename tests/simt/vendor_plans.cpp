#include "tests/simt/vendor_plans.hpp"

#include <atomic>

namespace gliograd::simt {
namespace {

std::array<std::atomic<double>, 3> plan_delays{};
std::atomic<double> epilogue_delay{0}, bare_delay{0};

}  // namespace

void set_plan_delays(const std::array<double, 3>& ms) {
  for (size_t i = 0; i < ms.size(); ++i) plan_delays[i] = ms[i];
}
void set_epilogue_delay(double ms) { epilogue_delay = ms; }
void set_bare_delay(double ms) { bare_delay = ms; }
bool serves_epilogue() { return epilogue_delay >= 0; }
double plan_delay(size_t plan, bool epilogue) {
  const double delay = plan_delays[plan];
  return delay < 0 ? delay : delay + (epilogue ? epilogue_delay : bare_delay);
}

}  // namespace gliograd::simt
