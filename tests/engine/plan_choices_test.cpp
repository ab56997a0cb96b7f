#include "engine/device/plan_choices.hpp"

#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/support.hpp"

using namespace gliograd;
using test::contains;
using test::error_of;

namespace {

PlanChoice never() {
  FAIL("timed");
  return {};
}

}  // namespace

TEST_CASE("plan choices: what is timed once is taken from then on, and written down") {
  PlanChoices choices;
  int calls = 0;
  const auto time = [&] {
    ++calls;
    return PlanChoice{"engine 2: 1=3", 0.25, 512, 4};
  };
  CHECK(choices.of("conv forward a", time).plan == "engine 2: 1=3");
  CHECK(choices.of("conv forward a", never).ms == 0.25);
  CHECK(calls == 1);
  CHECK(choices.csv() ==
        "product,plan,ms,workspace,candidates\nconv forward a,engine 2: 1=3,0.25,512,4\n");

  PlanChoices later;
  later.read(choices.csv(), "plans.csv");
  CHECK(later.csv() == "product,plan,ms,workspace,candidates\n");  // nothing was asked for yet
  CHECK(later.csv(PlanChoices::Which::all) == choices.csv());
  std::vector<std::string> told;
  later.on_change([&](const std::string& csv) { told.push_back(csv); });
  CHECK(later.of("conv forward a", never).workspace == 512);
  CHECK(told == std::vector<std::string>{choices.csv()});
  later.of("conv forward a", never);
  CHECK(told.size() == 1);
  CHECK(later.timed() == 0);
  CHECK(later.csv() == choices.csv());
  CHECK(
      later.renewed("conv forward a", "engine 2: 1=3",
                    [] {
                      return PlanChoice{"other", 1, 0, 1};
                    })
          .plan == "other");
  CHECK(later.timed() == 1);
  CHECK(later.of("conv forward a", never).plan == "other");
  later.read(choices.csv(), "plans.csv");  // what is known stays
  CHECK(later.of("conv forward a", never).plan == "other");
}

TEST_CASE("plan choices: of many threads one times, the others wait for it" *
          doctest::test_suite("threads")) {
  PlanChoices choices;
  std::atomic<int> calls{0};
  std::vector<std::thread> team;
  for (int t = 0; t < 4; ++t) {
    team.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        choices.of("product " + std::to_string(i), [&] {
          ++calls;
          return PlanChoice{"plan", 1, 0, 1};
        });
      }
    });
  }
  for (std::thread& thread : team) thread.join();
  CHECK(calls == 20);
  CHECK(choices.timed() == 20);
}

TEST_CASE("plan choices: a text that is none is refused by name and line, and changes nothing") {
  PlanChoices choices;
  const std::string header = "product,plan,ms,workspace,candidates\n";
  CHECK(contains(error_of([&] { choices.read("", "p.csv"); }), "p.csv: the first line must be"));
  for (const char* row :
       {"a,b,1,2", "a,b,x,2,3", "a,b,nan,2,3", ",b,1,2,3", "a,b,1,-2,3", "a,b,1,2,3,4"}) {
    CHECK(contains(error_of([&] { choices.read(header + "c,d,1,2,3\n" + row + "\n", "p.csv"); }),
                   "p.csv: line 3 is no choice of a plan: " + std::string(row)));
  }
  CHECK(choices.csv(PlanChoices::Which::all) == header);
}

TEST_CASE("plan choices: of two that both find a choice gone, one times and both take its answer") {
  PlanChoices choices;
  choices.read("product,plan,ms,workspace,candidates\np,gone,1,0,1\n", "plans.csv");
  CHECK(choices.of("p", never).plan == "gone");
  CHECK(choices.of("p", never).plan == "gone");  // another network, before either looks
  const auto one = [] { return PlanChoice{"one", 1, 0, 1}; };
  CHECK(choices.renewed("p", "gone", one).plan == "one");
  CHECK(choices.renewed("p", "gone", never).plan == "one");
}

TEST_CASE("plan choices: one that cannot be written down is given to nobody") {
  PlanChoices choices;
  choices.on_change([](const std::string&) { throw Error("no room"); });
  CHECK(error_of([&] { choices.of("p", [] { return PlanChoice{"a", 1, 0, 1}; }); }) == "no room");
  CHECK(error_of([&] { choices.of("p", never); }) == "no room");  // nor to who asks next
  std::string told;
  choices.on_change([&](const std::string& csv) { told = csv; });
  CHECK(choices.of("p", never).plan == "a");
  CHECK(contains(told, "\np,a,1,0,1\n"));
}
