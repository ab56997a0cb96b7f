// Work over many files, one decode worker a thread.
#pragma once
#include <cstdint>
#include <functional>

#include "data/readers/image.hpp"

namespace gliograd::data {

/// Told how many of `total` pieces are done; from any thread, one call at a time.
using Progress = std::function<void(int64_t done, int64_t total)>;

/// Calls body(i, decoder) for every i below `count`, on `threads` threads, each with its own
/// worker. A piece that throws does not stop the others, so that the error can say how many there
/// are. Errors: that of the lowest i, with "(and N more)" where several failed; Interrupted after
/// Ctrl-C; WorkError at once.
void for_each_decoding(int64_t count, int threads,
                       const std::function<void(int64_t, ImageDecoder&)>& body,
                       const Progress& progress = {});

}  // namespace gliograd::data
