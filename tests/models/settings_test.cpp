#include "models/settings.hpp"

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::models;
using namespace gliograd::test;

TEST_CASE("settings: numbers, lists and fallbacks") {
  const Settings settings = {{"width", "12"}, {"rate", "0.25"}, {"widths", "16-32-64"}};
  SettingsReader reader("net", settings);
  CHECK(reader.integer("width", 3, 1, 100) == 12);
  CHECK(reader.integer("depth", 3, 1, 100) == 3);
  CHECK(reader.number("rate", 0, 0, 1) == 0.25);
  CHECK(reader.integers("widths", {1}, 1, 100, 4) == std::vector<int64_t>{16, 32, 64});
  reader.finish();
  CHECK(join({16, 32}) == "16-32");
  CHECK(to_text(0.1) == "0.1");
}

TEST_CASE("settings: what is wrong is named, with what was needed") {
  const auto fails = [](const char* value, auto read) {
    const Settings settings = {{"key", value}};
    SettingsReader reader("net", settings);
    return error_of([&] { read(reader); });
  };
  const auto integer = [](SettingsReader& r) { r.integer("key", 1, 1, 9); };
  const auto number = [](SettingsReader& r) { r.number("key", 1, 0, 9); };
  const auto list = [](SettingsReader& r) { r.integers("key", {1}, 1, 9, 2); };
  for (const char* bad : {"0", "10", "", "x", "3x", " 3", "1.5", "99999999999999999999"}) {
    CHECK(fails(bad, integer) ==
          "net: key must be a whole number from 1 to 9; got '" + std::string(bad) + "'");
  }
  for (const char* bad : {"-1", "9.5", "nan", "inf", "", "1e999"}) {
    CHECK(contains(fails(bad, number), "must be a number from 0 to 9"));
  }
  for (const char* bad : {"", "-", "1-", "-1", "1--2", "1-2-3", "10", "1-x"}) {
    CHECK(contains(fails(bad, list), "must be one to 2 whole numbers from 1 to 9"));
  }
  const Settings settings = {{"widht", "3"}};
  SettingsReader reader("net", settings);
  reader.integer("width", 1, 1, 9);
  reader.integer("depth", 1, 1, 9);
  CHECK(error_of([&] { reader.finish(); }) ==
        "net: unknown option 'widht'; known are depth, width");
}
