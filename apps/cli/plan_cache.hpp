// Timed choices of plans of a GPU's libraries, kept for the next run under the user's cache folder:
// $XDG_CACHE_HOME/gliograd or ~/.cache/gliograd.
#pragma once
#include <string>

namespace gliograd::cli {

/// "plans-GPU-cudnn-VERSION-cublaslt-VERSION-driver-VERSION.csv" there; empty where there is no
/// home, or where the environment has GLIOGRAD_CACHE=off. The parts as gpu_facts() and
/// gpu_library_facts() write them.
std::string plan_cache_path(const std::string& gpu, const std::string& cudnn,
                            const std::string& cublaslt, int driver);

/// What is there; empty where there is nothing, or nothing whole (which is noted).
std::string read_plan_cache(const std::string& path);
/// Adds to it what `csv` (PlanChoices::csv) holds beyond; a cache that cannot be written is noted
/// and no error. Beyond 4,096 choices it begins anew.
void add_to_plan_cache(const std::string& path, const std::string& csv);

}  // namespace gliograd::cli
