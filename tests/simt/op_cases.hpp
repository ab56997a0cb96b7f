// What tests of GPU paths share: a stream on the emulated GPU, and an op's case run on it.
#pragma once
#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <string>

#include "engine/ops/case.hpp"
#include "tests/simt/runtime.hpp"
#include "tests/simt/simt.hpp"
#include "tests/support/seeds.hpp"

namespace gliograd::simt {

inline void expect_nothing() {
  const Report report = take_report();
  INFO(report.text());
  CHECK(report.total == 0);
}

using test::fresh_seed;

/// Its work runs late, in any order that events allow.
inline std::unique_ptr<Stream> fresh_stream() {
  set_device({.order = Order::any, .seed = fresh_seed()});
  return Stream::cuda();
}

/// Around every vector width, warp and block.
constexpr int64_t kSizes[] = {1, 7, 31, 32, 33, 257, 264, 1031};

inline Case case_of(const std::string& name) {
  for (const Case& c : all_cases()) {
    if (c.name == name) return c;
  }
  FAIL("no case ", name);
  return {};
}

inline CaseRow row_of(const std::string& name, const std::string& label) {
  for (const CaseRow& row : case_of(name).rows) {
    if (row.label == label) return row;
  }
  FAIL("no row ", label, " of ", name);
  return {};
}

/// In each type: output and every gradient. slack: times the case's tolerance, where a row is so
/// short that a sum in it may cancel; a wrong cut is off by much more.
inline void compare(const std::string& name, const CaseRow& row, Stream& stream, double slack = 1) {
  const uint64_t seed = fresh_seed();
  const Case c = case_of(name);
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    for (const CaseOutcome& o : compare_paths(c, row, stream, seed, dtype)) {
      INFO(o.where, ", ", dtype, ' ', row.inputs[0].shape, ": error ", o.error, ", tolerance ",
           o.tolerance, ", seed ", seed);
      CHECK(o.error <= slack * o.tolerance);  // false for NaN
    }
  }
}

}  // namespace gliograd::simt
