// Facts of a run for its config.toml: which data, which machine, which build.
#pragma once
#include <string>

#include "apps/cli/config_file.hpp"
#include "data/dataset.hpp"
#include "models/checkpoint.hpp"

namespace gliograd::cli {

/// `device`: cpu or cuda, which trains.
RunFacts run_facts(const data::Dataset& set, const std::string& data_file,
                   const std::string& device, const models::Checkpoint* init);

}  // namespace gliograd::cli
