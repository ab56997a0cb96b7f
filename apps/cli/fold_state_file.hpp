// state.h5: a fold between two epochs, with all that going on needs; gone once the fold is done.
#pragma once
#include <string>

#include "apps/study/run_store.hpp"

namespace gliograd::cli {

/// Replaces the file at once. Errors: WorkError when the disk is full.
void write_fold_state(const std::string& path, const study::FoldState& state);

/// Tensors come into the stream's memory. Errors: Error that names the file and what is wrong.
study::FoldState read_fold_state(const std::string& path, Stream& stream);

}  // namespace gliograd::cli
