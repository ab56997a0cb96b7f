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
/// cpu or auto; "cuda" is refused in one line where there is none.
void add_device_option(CLI::App& command, std::string& device);
/// The device that will be used, said on standard error. Errors: Error for cuda without one.
void choose_device(const std::string& device);

}  // namespace gliograd::cli
