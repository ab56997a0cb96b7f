// The door to every launch: what it records, and what it prints where GLIOGRAD_TRACE asks for it.
#include "kernels/launch_record.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "engine/tensor/cast.hpp"
#include "kernels/runtime.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;
using kernels::RecordedLaunch;
using simt::expect_nothing;
using simt::fresh_seed;
using simt::fresh_stream;

namespace {

/// What is written to standard error while `work` runs.
template <class Work>
std::string errors_of(const Work& work) {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  std::fflush(stderr);
  const int before = dup(STDERR_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  work();
  std::fflush(stderr);
  dup2(before, STDERR_FILENO);
  close(before);
  std::string text(static_cast<size_t>(std::ftell(file)), '\0');
  std::rewind(file);
  const size_t got = std::fread(text.data(), 1, text.size(), file);
  std::fclose(file);
  CHECK(got == text.size());
  return text;
}

}  // namespace

TEST_CASE("launches: every kernel that a case runs declares what it costs") {
  const auto stream = fresh_stream();
  kernels::record_launches(stream->queue(), true);
  std::map<std::string, int> seen;
  for (const Case& c : all_cases()) {
    for (const CaseRow& row : c.rows) {
      if (row.bench) continue;
      compare_paths(c, row, *stream, fresh_seed(), DType::bf16);
      for (const RecordedLaunch& launch : kernels::take_launches(stream->queue())) {
        INFO(c.name, " / ", row.label, ": ", launch.name);
        CHECK(launch.cost.bytes > 0);
        ++seen[launch.name];
      }
    }
  }
  Tensor sum = zeros(*stream, {8});  // of two gradients, which no case has
  add_into(sum, zeros(*stream, {8}), 1);
  for (const RecordedLaunch& launch : kernels::take_launches(stream->queue())) {
    CHECK(launch.cost.bytes > 0);
    ++seen[launch.name];
  }
  for (const char* name :
       {"batch_norm_from_running", "batch_norm_sums", "conv_direct_weights", "sum_channels",
        "dropout_gradient", "concat_channels", "split_channels", "copy_channels",
        "softmax_gradient", "add_into", "max_pool_gradient", "copy to device", "copy to host"}) {
    CHECK_MESSAGE(seen[name] > 0, std::string(name));
  }
  expect_nothing();
}

TEST_CASE("launches: a range names what is launched inside it") {
  const auto stream = fresh_stream();
  const kernels::Queue queue = stream->queue();
  kernels::record_launches(queue, true);
  Tensor t = empty(*stream, {8});
  fill_zero(t);
  kernels::begin_range(queue, "backward");
  fill_zero(t);
  kernels::begin_range(queue, "relu");
  fill_zero(t);
  kernels::end_range(queue);
  kernels::end_range(queue);
  fill_zero(t);
  std::vector<std::string> ranges;
  for (const RecordedLaunch& launch : kernels::take_launches(queue)) {
    CHECK(launch.name == "fill");
    CHECK(launch.cost.bytes == 32);
    ranges.push_back(launch.range);
  }
  CHECK(ranges == std::vector<std::string>{"", "backward", "backward/relu", ""});
  kernels::begin_capture(queue);
  CHECK_THROWS_WITH_AS(kernels::record_launches(queue, false), doctest::Contains("captured"),
                       kernels::DeviceError);
  kernels::drop_capture(queue);
  expect_nothing();
}

TEST_CASE("launches: GLIOGRAD_TRACE prints each as it runs, and waits for it") {
  const auto run = [] {
    const auto stream = Stream::cuda();
    Tensor t = empty(*stream, {1000});
    fill_zero(t);
    CHECK(kernels::take_launches(stream->queue()).empty());  // nobody asked for a record
  };
  simt::set_device({});
  CHECK(errors_of(run).empty());
  setenv("GLIOGRAD_TRACE", "1", 1);
  const std::string text = errors_of(run);
  const std::string silent = errors_of([] {
    const auto stream = Stream::cuda();
    Tensor t = empty(*stream, {1000});
    kernels::begin_capture(stream->queue());
    fill_zero(t);
    kernels::drop_capture(stream->queue());
  });
  unsetenv("GLIOGRAD_TRACE");
  INFO(text);
  CHECK(text.find("waited for") != std::string::npos);
  CHECK(text.find("\nfill ") != std::string::npos);
  CHECK(text.find(" ms ") != std::string::npos);
  CHECK(text.find(" GB/s ") != std::string::npos);
  CHECK(text.find("FLOP/s") != std::string::npos);
  CHECK(silent.find("\nfill ") == std::string::npos);
  expect_nothing();
}
