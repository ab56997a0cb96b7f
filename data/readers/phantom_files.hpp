// The phantom as files: the layout of the public lower-grade set, so that every part of its reader
// is used.
#pragma once
#include <cstdint>
#include <string>

#include "data/phantom.hpp"
#include "data/readers/for_each.hpp"

namespace gliograd::data {

struct PhantomFiles {
  int64_t patients = 0, slices = 0, tumor_slices = 0;
};

/// Writes <folder>/<patient>_<date>/<patient>_<date>_<n>.tif (pre, FLAIR, post) and ..._mask.tif (0
/// or 255), and <folder>/data.csv. All is made beside it under <folder>.part and renamed at the
/// end, so that under the name stands a whole cohort or nothing. The same bytes for any `threads`.
/// Errors: Error for options out of range, and when the folder exists and holds something;
/// WorkError when the disk is full; Interrupted after Ctrl-C.
PhantomFiles write_phantom(const std::string& folder, const PhantomOptions& options,
                           int threads = 1, const Progress& progress = {});

}  // namespace gliograd::data
