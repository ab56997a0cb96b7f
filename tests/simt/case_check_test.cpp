// What `gliograd doctor --check` runs, on the emulated GPU.
#include "engine/ops/case_check.hpp"

#include "engine/tensor/cast.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;
using simt::case_of;
using simt::expect_nothing;
using simt::fresh_stream;

namespace {

// An op that is wrong in one type, and on the GPU alone, or refused there.
Case faulty(const std::string& name, bool refused) {
  CaseRow row{.label = "small", .inputs = {{.shape = {5}, .differentiable = false}}, .op = {}};
  row.op = [refused](Tape& tape, const std::vector<Tensor>& inputs) {
    if (inputs[0].dtype != DType::bf16 || inputs[0].device() == Device::cpu) return inputs[0];
    if (refused) throw kernels::DeviceError("no such kernel");
    std::vector<double> values = to_values(inputs[0]);
    for (double& v : values) v *= 1.5;
    return from_values(tape.stream(), inputs[0].shape, values, inputs[0].dtype);
  };
  return {.name = name, .rows = {row, row}};
}

}  // namespace

TEST_CASE("check of cases: the GPU's three types beside the CPU, each counted") {
  const std::unique_ptr<Stream> cpu = Stream::cpu(), gpu = fresh_stream();
  std::vector<Case> cases = {case_of("relu")};
  for (CaseRow& row : cases[0].rows) row.bench = false;
  cases[0].rows.resize(1);
  const CaseCheck check = check_cases(cases, *cpu, gpu.get(), {.seconds = 1e6, .seed = 3});
  REQUIRE(check.cpu.size() == 1);
  REQUIRE(check.gpu.size() == 1);
  CHECK(check.cpu[0].failed == 0);
  CHECK(check.cpu[0].compared == 5);  // output and gradient, two types; differences
  CHECK(check.gpu[0].failed == 0);
  CHECK(check.gpu[0].compared == 6);  // output and gradient, three types
  CHECK(check_cases(cases, *cpu, nullptr, {}).gpu.empty());
  expect_nothing();
}

TEST_CASE("check of cases: a wrong type is named, a refusal ends the GPU's part, time is kept") {
  const std::unique_ptr<Stream> cpu = Stream::cpu(), gpu = fresh_stream();
  const CaseCheck wrong =
      check_cases({faulty("wrong", false)}, *cpu, gpu.get(), {.seconds = 1e6, .seed = 3});
  CHECK(wrong.cpu[0].failed == 0);
  REQUIRE(wrong.gpu[0].failures.size() == 2);
  CHECK(wrong.gpu[0].failures[0].where == "wrong / small: output, bf16");
  CHECK(wrong.gpu[0].compared == 6);
  CHECK(wrong.gpu[0].worst > 10);

  const CaseCheck refused = check_cases({faulty("refused", true), faulty("after", false)}, *cpu,
                                        gpu.get(), {.seconds = 1e6, .seed = 3});
  REQUIRE(refused.gpu[0].failures.size() == 1);
  CHECK(refused.gpu[0].failures[0].where == "refused / small, bf16: no such kernel");
  CHECK(refused.gpu[0].skipped == 1);
  CHECK(refused.gpu[1].skipped == 2);
  CHECK(refused.cpu[1].compared == 4);

  const CaseCheck late =
      check_cases({faulty("late", false)}, *cpu, gpu.get(), {.seconds = -1, .seed = 3});
  CHECK(late.cpu[0].skipped == 2);
  CHECK(late.gpu[0].skipped == 2);
  CHECK(late.gpu[0].compared == 0);
  expect_nothing();
}
