// The plans that a vendor library's handle keeps.
#include "kernels/gpu/plan_table.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "kernels/vendor_plan.hpp"

using gliograd::kernels::PlanTable;
using gliograd::kernels::VendorPlan;

namespace {

struct Plan {
  VendorPlan facts;
  int made = 0;  // the how manieth
};

// A library with three plans for every product but 13.
struct Library {
  int made = 0;
  auto finder(int product) {
    return [this, product](int most, const std::string& name) {
      std::vector<Plan> plans;
      for (const char* one : {"a", "b", "c"}) {
        if (product == 13 || static_cast<int>(plans.size()) >= most) break;
        if (name.empty() || name == one) plans.push_back({{one, 16}, ++made});
      }
      return plans;
    };
  }
};

}  // namespace

TEST_CASE("plan table: the first plan is made once, and another where it is taken") {
  Library library;
  PlanTable<int, Plan> table;
  CHECK(table.plan(1, library.finder(1))->facts.name == "a");
  CHECK(table.plan(1, library.finder(1))->facts.name == "a");
  CHECK(library.made == 1);
  CHECK(table.take(1, library.finder(1), "c"));
  CHECK(table.plan(1, library.finder(1))->facts.name == "c");
  CHECK_FALSE(table.take(1, library.finder(1), "z"));
  CHECK(table.plan(1, library.finder(1))->facts.name == "c");
  CHECK(table.plan(2, library.finder(2))->facts.name == "a");
  CHECK_FALSE(table.plan(13, library.finder(13)).has_value());
  CHECK_FALSE(table.take(13, library.finder(13), "a"));
}

TEST_CASE("plan table: what was listed last is taken as it is; of another product it is not") {
  Library library;
  PlanTable<int, Plan> table;
  CHECK(table.list(1, library.finder(1), 2).size() == 2);
  CHECK(library.made == 2);
  for (const char* name : {"a", "b", "a"}) CHECK(table.take(1, library.finder(1), name));
  CHECK(library.made == 2);
  CHECK(table.take(1, library.finder(1), "c"));  // beyond the list
  CHECK(library.made == 3);
  CHECK(table.take(2, library.finder(2), "a"));
  CHECK(library.made == 4);
  CHECK(table.list(2, library.finder(2), 3).size() == 3);
  CHECK(table.take(1, library.finder(1), "b"));
  CHECK(library.made == 8);
}

TEST_CASE("plan table: of two plans of one name the first is meant, listed or not") {
  const auto twins = [](int most, const std::string& name) {
    std::vector<Plan> plans = {{{"a", 16}, 1}, {{"a", 99}, 2}};
    if (!name.empty()) most = 1;
    plans.resize(static_cast<size_t>(std::min(most, 2)));
    return plans;
  };
  PlanTable<int, Plan> listed, asked;
  listed.list(1, twins, 2);
  CHECK(listed.take(1, twins, "a"));
  CHECK(asked.take(1, twins, "a"));
  CHECK(listed.plan(1, twins)->made == 1);
  CHECK(asked.plan(1, twins)->made == 1);
}

TEST_CASE("plan table: it is bounded, and what was taken is known beyond that") {
  Library library;
  PlanTable<int, Plan> table(4);
  CHECK(table.take(0, library.finder(0), "b"));
  for (int product = 20; product < 30; ++product) table.plan(product, library.finder(product));
  const int made = library.made;
  CHECK(table.plan(0, library.finder(0))->facts.name == "b");
  CHECK(library.made == made + 1);  // it had to be made again
}
