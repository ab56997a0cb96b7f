// What compute-sanitizer watches on a real GPU, on the emulated one; and that it leaves out no
// kernel.
#include "tests/support/gpu_kernels.hpp"

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "tests/simt/op_cases.hpp"

using namespace gliograd;

namespace {

// A launch's name is the one kind of text in lower case that the sources of kernels hold.
std::set<std::string> names_in_sources() {
  static const std::regex text("\"([a-z_0-9]+)\"");
  std::set<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(GLIOGRAD_KERNELS_DIR)) {
    if (file.path().extension() != ".cu") continue;
    std::ostringstream source;
    source << std::ifstream(file.path()).rdbuf();
    const std::string code = source.str();
    for (std::sregex_iterator at(code.begin(), code.end(), text), end; at != end; ++at) {
      names.insert((*at)[1]);
    }
  }
  return names;
}

}  // namespace

TEST_CASE("GPU kernels: the checks for a real GPU run every kernel and hold on the emulated one") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  const auto gpu = Stream::cuda(0, {.random = {.seed = 5}});
  const auto cpu = Stream::cpu({.random = {.seed = 5}});
  test::EveryKernel every(*gpu, *cpu);
  every.run();
  for (const std::string& failure : every.failures()) FAIL_CHECK(failure);
  CHECK(every.compared() > 300);
  const std::set<std::string> wanted = names_in_sources();
  CHECK(wanted.size() > 30);
  for (const std::string& name : wanted) {
    CHECK_MESSAGE(every.names().count(name) == 1, name, " did not run");
  }
  simt::expect_nothing();
}
