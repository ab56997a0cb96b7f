// A defect of each class in a copy of a real kernel: the emulator finds it, by its kind.
#include "tests/simt/planted_real.hpp"

#include "kernels/convert.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/pool.hpp"
#include "kernels/runtime.hpp"
#include "tests/simt/buffer.hpp"
#include "tests/simt/op_cases.hpp"

namespace gliograd::simt {

std::map<std::string, void (*)()>& planted_functions() {
  static std::map<std::string, void (*)()> functions;
  return functions;
}

namespace {

using namespace kernels;

constexpr int64_t kImages = 2, kPixels = 40, kChannels = 16;

std::vector<float> numbers(int64_t n) {
  std::vector<float> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 11) - 5;
  return x;
}

// Runs the work at once, under some orders of blocks and threads, and wants a finding of this kind
// from one of them.
template <class Work>
void expect_found(const char* kind, const Work& work) {
  bool found = false;
  std::string text;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    set_options({.seed = seed});
    work();
    const Report report = take_report();
    for (const Finding& finding : report.findings) found = found || finding.kind == kind;
    text += report.text();
  }
  set_options({});
  INFO(text);
  CHECK(found);
}

template <const auto& entry>
void global_average(const char* defect, const char* kind) {
  const Buffer<float> x(numbers(kImages * kPixels * kChannels)), y(kImages * kChannels);
  expect_found(kind, [&] {
    planted<entry>(defect)({}, DType::f32, kImages, kPixels, kChannels, x.get(), y.get());
  });
}

}  // namespace

TEST_CASE("planted in real kernels: a missing barrier") {
  global_average<global_average_values>("missing_barrier", "race");
}

TEST_CASE("planted in real kernels: shared memory that nobody wrote") {
  global_average<global_average_values>("unwritten_shared", "uninitialized");
}

TEST_CASE("planted in real kernels: a barrier that not all threads reach") {
  global_average<global_average_values>("divergent_barrier", "divergence");
}

TEST_CASE("planted in real kernels: a read one beyond the end") {
  const Buffer<float> x(numbers(1031)), y(1031);
  expect_found("bounds", [&] {
    planted<elementwise_values>("off_by_one")({}, 0, DType::f32, x.get(), y.get(), 1031, 0);
  });
}

TEST_CASE("planted in real kernels: a vector's tail taken for whole") {
  const Buffer<float> x(numbers(1031)), y(1031);
  expect_found("bounds", [&] {
    planted<convert_values>("wrong_tail")({}, DType::f32, y.get(), DType::f32, x.get(), 1031,
                                          false);
  });
}

TEST_CASE("planted in real kernels: without a defect the copies' originals find nothing") {
  const Buffer<float> x(numbers(kImages * kPixels * kChannels)), y(kImages * kChannels);
  global_average_values({}, DType::f32, kImages, kPixels, kChannels, x.get(), y.get());
  const Buffer<float> a(numbers(1031)), b(1031);
  elementwise_values({}, 0, DType::f32, a.get(), b.get(), 1031, 0);
  convert_values({}, DType::f32, b.get(), DType::f32, a.get(), 1031, false);
  expect_nothing();
}

}  // namespace gliograd::simt
