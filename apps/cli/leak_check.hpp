// The leak guard in front of a run: whose images the starting weights have seen.
#pragma once
#include <string>

#include "apps/study/settings.hpp"
#include "apps/study/target.hpp"
#include "data/dataset.hpp"
#include "models/checkpoint.hpp"

namespace gliograd::cli {

/// Every labeled patient is tested in some fold, so none may be among those that `init` (where
/// there is one) has seen, and no two of them may be one person. Warns of patients who look alike.
/// Errors: Error that names the patient; and when the checkpoint's patients are unknown, without
/// --assume-disjoint.
void guard_against_leaks(const data::Dataset& set, const study::Target& target,
                         const models::Checkpoint* init, const study::CrossvalSettings& settings);

}  // namespace gliograd::cli
