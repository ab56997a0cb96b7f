// What the programs of this folder begin and end with.
#pragma once
#include <algorithm>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "engine/core/error.hpp"
#include "kernels/runtime.hpp"

namespace gliograd::bench {

/// Exit status: what `work` returns; 77 and a word where there is no GPU; 2 for wrong options, 1
/// where the work failed.
inline int run_gpu_program(const char* name, const char* help,
                           const std::vector<std::string>& words,
                           const std::function<int()>& work) {
  if (std::find(words.begin(), words.end(), "--help") != words.end()) {
    std::cout << help;
    return 0;
  }
  try {
    if (kernels::device_count() == 0) {
      std::cerr << "SKIPPED: " << name << ": no GPU\n";
      return 77;
    }
    return work();
  } catch (const WorkError& error) {
    std::cerr << name << ": " << error.what() << '\n';
    return 1;
  } catch (const Error& error) {
    std::cerr << name << ": " << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    std::cerr << name << ": " << error.what() << '\n';
    return 1;
  }
}

}  // namespace gliograd::bench
