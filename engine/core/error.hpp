// GG_CHECK: an argument is checked, and the message says what was needed, what came and where.
#pragma once
#include <sstream>
#include <string>

#include "kernels/base.hpp"

namespace gliograd {

/// Joins its arguments with operator<< ("batch_norm: x must be 4-D; got ", shape).
template <class... Parts>
std::string concat_text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// `path` from the project's root on, so that a message is the same on every machine.
std::string source_place(const char* path, int line);

}  // namespace gliograd

/// Throws Error with the joined text and the source line unless `condition` holds.
#define GG_CHECK(condition, ...)                                                 \
  do {                                                                           \
    if (!(condition)) {                                                          \
      throw ::gliograd::Error(::gliograd::concat_text(__VA_ARGS__) + "\n  at " + \
                              ::gliograd::source_place(__FILE__, __LINE__));     \
    }                                                                            \
  } while (false)
