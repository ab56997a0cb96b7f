// Options that every command which trains a network has: flag, default and help from one line each.
#pragma once
#include "apps/study/settings.hpp"

namespace CLI {
class App;
}

namespace gliograd::cli {

void add_train_options(CLI::App& command, study::TrainSettings& settings);

/// --threads: in all; by default the cores of this machine. More than there are is noted.
void add_threads_option(CLI::App& command, int& threads);
/// --device auto, cpu or cuda, and what is only of a GPU.
void add_device_options(CLI::App& command, std::string& device, study::TrainSettings& settings);
/// The device that will be used and, for --dtype auto, the type: said on standard error, and
/// written to the settings. Errors: Error for cuda where no GPU works, with the reason.
void choose_device(const std::string& device, study::TrainSettings& settings);

/// Where the choices of plans of the first GPU are kept between runs; empty on a CPU, and for
/// --plans other than timed.
std::string plan_cache_of(const study::TrainSettings& settings);

}  // namespace gliograd::cli
