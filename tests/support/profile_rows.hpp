// Rows of a profiled step, by name.
#pragma once
#include <doctest/doctest.h>

#include <string>

#include "apps/study/profile.hpp"

namespace gliograd::test {

/// The row of that pass, op and layer; the test case ends where there is none.
inline const study::ProfileRow& row_of(const study::Profile& profile, const std::string& pass,
                                       const std::string& op, const std::string& layer) {
  for (const study::ProfileRow& row : profile.rows) {
    if (row.pass == pass && row.op == op && row.layer == layer) return row;
  }
  FAIL("no row ", pass, ' ', op, ' ', layer);
  return profile.rows.front();
}

}  // namespace gliograd::test
