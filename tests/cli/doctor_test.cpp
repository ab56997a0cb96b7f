#include <nlohmann/json.hpp>

#include "apps/cli/program.hpp"
#include "engine/device/machine.hpp"
#include "engine/ops/case.hpp"
#include "tests/support/support.hpp"

using namespace gliograd::test;
using gliograd::CaseRow;
using gliograd::Tape;
using gliograd::Tensor;

namespace {

// An op whose f32 path is wrong by one part in a thousand, known to this test program alone.
Tensor wrong_in_f32(Tape&, const std::vector<Tensor>& inputs) {
  std::vector<double> out = values(inputs[0]);
  if (inputs[0].dtype != gliograd::DType::f64) {
    for (double& v : out) v *= 1.001;
  }
  return tensor(inputs[0].shape, out, inputs[0].dtype);
}
const bool kCase =
    gliograd::register_case({.name = "test_wrong_in_f32",
                             .rows = {CaseRow{.label = "small",
                                              .inputs = {{.shape = {5}, .differentiable = false}},
                                              .op = wrong_in_f32}}});

int run_in_process(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "gliograd");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  return gliograd::cli::run_program(static_cast<int>(argv.size()), argv.data());
}

}  // namespace

TEST_CASE("doctor: names processor, memory, GPU and the libraries with their versions") {
  const CommandResult result = gliograd::test::gliograd({"doctor"});
  CHECK(result.code == 0);
  for (const char* part : {"processor", "cores", "memory", "GPU", "oneDNN", "HDF5", "research"}) {
    CHECK_MESSAGE(contains(result.out, part), part, " is missing in ", result.out);
  }
  const gliograd::GpuLibraryFacts library = gliograd::gpu_library_facts();
  if (library.problem.empty()) {
    CHECK(contains(result.out, "machine code for sm_80, sm_90; PTX for "));
    if (!library.cudnn_built.empty()) {
      CHECK(
          contains(result.out, library.cudnn_loaded + " (built with " + library.cudnn_built + ")"));
    }
    CHECK(contains(result.out, library.cublaslt.empty()
                                   ? "linear layers on a GPU take kernels of any shape"
                                   : "cuBLASLt       " + library.cublaslt));
  } else {
    CHECK(contains(result.out, library.problem));
  }
  const gliograd::MachineFacts facts = gliograd::machine_facts();
  CHECK(facts.cores >= 1);
  CHECK(facts.memory_bytes > int64_t{64} << 20);
}

TEST_CASE("doctor: --check compares the chosen ops and counts them, --json too") {
  const CommandResult result =
      gliograd::test::gliograd({"doctor", "--check", "--ops", "^linear$", "--json"});
  CHECK(result.code == 0);
  const nlohmann::json out = nlohmann::json::parse(result.out);
  CHECK(out.at("libraries").contains("HDF5"));
  const nlohmann::json& check = out.at("check");
  CHECK(check.at("compared").get<int>() > 5);
  CHECK(check.at("failed").get<int>() == 0);
  CHECK(check.at("ops").size() == 1);
  // On a GPU, or not and then why.
  const nlohmann::json& gpu = check.at("gpu");
  if (gpu.contains("skipped")) {
    CHECK(!gpu.at("skipped").get<std::string>().empty());
    CHECK(check.at("skipped").get<int>() == 1);
  } else {
    CHECK(gpu.at("ops").size() == 1);
  }
  const CommandResult words = gliograd::test::gliograd({"doctor", "--check", "--ops", "^linear$"});
  CHECK(contains(words.out, gpu.contains("skipped") ? "Skipped on a GPU (" : "On the GPU, in f32"));
}

TEST_CASE("doctor: a wrong op, or nothing compared, is no pass") {
  REQUIRE(kCase);
  CHECK(run_in_process({"doctor", "--check", "--ops", "test_wrong_in_f32", "--json"}) == 1);
  const CommandResult none = gliograd::test::gliograd({"doctor", "--check", "--ops", "no such op"});
  CHECK(none.code == 2);
  CHECK(contains(none.err, "matches no op of: "));
  CHECK(gliograd::test::gliograd({"doctor", "--check", "--ops", "("}).code == 2);
  CHECK(gliograd::test::gliograd({"doctor", "--seconds", "0"}).code == 2);
}
