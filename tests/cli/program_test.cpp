#include <sstream>

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

namespace {

// The commands that a --help lists under "Subcommands:".
std::vector<std::string> listed_commands(const std::string& help) {
  std::vector<std::string> names;
  std::istringstream lines(help);
  std::string line;
  bool inside = false;
  while (std::getline(lines, line)) {
    if (inside && line.rfind("  ", 0) != 0) break;
    if (inside) names.push_back(line.substr(2, line.find(' ', 2) - 2));
    if (line == "Subcommands:") inside = true;
  }
  return names;
}

// Options of a --help that nothing is said about, beside them or on the line below.
std::vector<std::string> unexplained(const std::string& help) {
  std::vector<std::string> found;
  std::istringstream lines(help);
  std::string line, waiting;
  while (std::getline(lines, line)) {
    const std::string indent(30, ' ');
    if (!waiting.empty() && line.rfind(indent, 0) != 0) found.push_back(waiting);
    waiting.clear();
    if (line.rfind("  -", 0) != 0) continue;
    const bool beside = line.size() > indent.size() && line[indent.size() - 1] == ' ';
    if (!beside) waiting = line;
  }
  return found;
}

// The --help of a command and of those below it.
void check_help(const std::vector<std::string>& command) {
  std::vector<std::string> arguments = command;
  arguments.push_back("--help");
  const CommandResult help = gliograd::test::gliograd(arguments);
  INFO(help.out);
  CHECK(help.code == 0);
  std::string name = "gliograd";
  for (const std::string& word : command) name += " " + word;
  CHECK(contains(help.out, "Usage: " + name + " ["));
  CHECK(contains(help.out, "Example"));
  CHECK(contains(help.out, "\n  gliograd") != contains(help.out, "Example: gliograd"));
  CHECK(unexplained(help.out).empty());
  const std::vector<std::string> below = listed_commands(help.out);
  if (below.empty()) CHECK(contains(help.out, "--config FILE"));
  for (const std::string& next : below) {
    std::vector<std::string> longer = command;
    longer.push_back(next);
    check_help(longer);
  }
}

}  // namespace

TEST_CASE("program: every command's --help has an example and explains every option") {
  CHECK(unexplained("  --mute\n  --told                      a thing\n").size() == 1);
  CHECK(listed_commands(gliograd::test::gliograd({"--help"}).out).size() >= 9);
  check_help({});
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

TEST_CASE("program: its worker is not for hands") {
  const CommandResult result = gliograd::test::gliograd({"decode-worker"});
  CHECK(result.code == 2);
  CHECK(contains(result.err, "by the program itself"));
}
