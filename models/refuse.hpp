// GG_REFUSE_UNLESS: for what a person gave us (files, options, names). One line, no source place.
#pragma once
#include "engine/core/error.hpp"

/// Throws Error with the joined text unless `condition` holds.
#define GG_REFUSE_UNLESS(condition, ...)                                             \
  do {                                                                               \
    if (!(condition)) throw ::gliograd::Error(::gliograd::concat_text(__VA_ARGS__)); \
  } while (false)
