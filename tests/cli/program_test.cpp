#include "tests/support/support.hpp"

using namespace gliograd::test;

TEST_CASE("program: --version and --help go to standard output and exit 0") {
  const CommandResult version = gliograd::test::gliograd({"--version"});
  CHECK(version.code == 0);
  CHECK(version.out.rfind("gliograd ", 0) == 0);
  const CommandResult help = gliograd::test::gliograd({"--help"});
  CHECK(help.code == 0);
  CHECK(contains(help.out, "research use only"));
}

TEST_CASE("program: bad usage exits 2 with a line on standard error") {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{}, {"no-such-command"}, {"--no-such-option"}}) {
    const CommandResult result = gliograd::test::gliograd(arguments);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(!result.err.empty());
  }
}
