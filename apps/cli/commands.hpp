// One function a subcommand, one file a function: apps/cli/<name>.cpp.
#pragma once

namespace CLI {
class App;
}

namespace gliograd::cli {

/// Adds every subcommand to the program, in the order of --help.
void add_commands(CLI::App& app);

void add_version(CLI::App& app);
void add_phantom(CLI::App& app);
void add_augment(CLI::App& app);
void add_crossval(CLI::App& app);
void add_report(CLI::App& app);
void add_stats(CLI::App& app);
void add_baselines(CLI::App& app);
void add_doctor(CLI::App& app);
void add_profile(CLI::App& app);
void add_prepare(CLI::App& app);
void add_decode_worker(CLI::App& app);
void add_pretrain(CLI::App& app);

}  // namespace gliograd::cli
