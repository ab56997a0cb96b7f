#include "apps/cli/commands.hpp"

#include <CLI/CLI.hpp>

namespace gliograd::cli {

void add_version(CLI::App& app) {
  app.set_version_flag("--version", std::string("gliograd ") + GLIOGRAD_VERSION);
}

void add_commands(CLI::App& app) {
  add_version(app);
  add_phantom(app);
  add_prepare(app);
  add_augment(app);
  add_crossval(app);
  add_pretrain(app);
  add_stats(app);
  add_baselines(app);
  add_report(app);
  add_doctor(app);
  add_decode_worker(app);
}

}  // namespace gliograd::cli
