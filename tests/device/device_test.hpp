// What the programs of this folder begin and end with.
#pragma once
#include <cstdio>
#include <exception>
#include <functional>

#include "kernels/runtime.hpp"

namespace gliograd::test {

/// Exit status of a program: 0 where `failures` returns 0, 1 where it returns more or throws, 77
/// (skipped, by name) where no GPU is.
inline int run_device_test(const char* name, const std::function<int()>& failures) {
  try {
    if (kernels::device_count() == 0) {
      std::printf("SKIPPED: %s on a GPU: no GPU\n", name);
      return 77;
    }
    std::printf("%s\n", kernels::device_facts(0).name.c_str());
    return failures() == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::printf("FAILED: %s: %s\n", name, error.what());
    return 1;
  }
}

}  // namespace gliograd::test
