// The prepared set as a file: docs/formats.md says what lies where.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.hpp"

namespace gliograd::data {

/// What is to be remembered of how a set was made: {"command", "gliograd prepare lgg ..."}, and
/// every setting by name.
using Provenance = std::vector<std::pair<std::string, std::string>>;

/// Replaces the file at once; equal sets and provenance give equal bytes.
/// Errors: Error when check_dataset refuses the set; WorkError when the disk does.
void write_prepared(const Dataset& set, const std::string& path, const Provenance& provenance);

/// Errors: Error in one line that names the file, when it is no prepared set of a version we read,
/// or when any length, order or range in it is not as docs/formats.md says.
Dataset read_prepared(const std::string& path);

}  // namespace gliograd::data
