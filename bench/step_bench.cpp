// Where a training step's time goes, as a table: `gliograd profile` for the build without files. A
// plain program.
//   build/bench/bench_step --size 80 --preset light
#include <iostream>
#include <sstream>
#include <string>

#include "apps/study/profile.hpp"
#include "engine/core/error.hpp"

using namespace gliograd;

namespace {

constexpr const char* kHelp =
    "bench_step [--model NAME] [--size PIXELS] [--batch N] [--dtype f32|tf32|bf16|f16]\n"
    "           [--preset off|light|full] [--device cpu|cuda] [--threads N] [--steps N]\n"
    "The time of each op of a training step.\n"
    "Example: bench_step --size 128 --preset off\n";

int whole_number(const std::string& name, const std::string& text) {
  std::istringstream in(text);
  int value = 0;
  if (!(in >> value) || !in.eof()) {
    throw Error(concat_text(name, " wants a whole number; got \"", text, '"'));
  }
  return value;
}

study::ProfileOptions parse(int argc, char** argv) {
  study::ProfileOptions o;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name.rfind("--benchmark_", 0) == 0) continue;  // ./run bench hands them to all programs
    if (i + 1 == argc) throw Error("no value for " + name + "; see --help");
    const std::string value = argv[++i];
    if (name == "--model") {
      o.model = value;
    } else if (name == "--dtype") {
      o.dtype = value;
    } else if (name == "--preset") {
      o.preset = value;
    } else if (name == "--device" && (value == "cpu" || value == "cuda")) {
      o.device = value == "cpu" ? Device::cpu : Device::cuda;
    } else if (name == "--size") {
      o.size = whole_number(name, value);
    } else if (name == "--batch") {
      o.batch = whole_number(name, value);
    } else if (name == "--threads") {
      o.threads = whole_number(name, value);
    } else if (name == "--steps") {
      o.steps = whole_number(name, value);
    } else {
      throw Error(concat_text("unknown: ", name, ' ', value, "; see --help"));
    }
  }
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 2 && std::string(argv[1]) == "--help") {
      std::cout << kHelp;
      return 0;
    }
    std::cout << study::profile_table(study::profile_step(parse(argc, argv)));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_step: " << error.what() << '\n';
    return dynamic_cast<const WorkError*>(&error) != nullptr ? 1 : 2;
  }
}
