#include "apps/cli/commands.hpp"

#include <CLI/CLI.hpp>

#include "apps/cli/config_file.hpp"

namespace gliograd::cli {
namespace {

// Every command takes --config (expand_config), so every --help says so.
void add_config_everywhere(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    add_config_everywhere(*command);
    const bool leaf = command->get_subcommands([](CLI::App*) { return true; }).empty();
    if (leaf && command->get_option_no_throw("--config") == nullptr) add_config_option(*command);
  }
}

}  // namespace

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
  add_profile(app);
  add_config_everywhere(app);
  add_decode_worker(app);
  // Last: a command that is added later would inherit it.
  app.footer(
      "Example, from a synthetic cohort to a page:\n"
      "  gliograd phantom --out cohort\n"
      "  gliograd prepare lgg cohort --out cohort.h5\n"
      "  gliograd crossval --data cohort.h5 --target COCCluster=2 --folds 5 --out run\n"
      "  gliograd report run\n"
      "gliograd COMMAND --help explains a command's options.");
}

}  // namespace gliograd::cli
