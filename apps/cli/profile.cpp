// gliograd profile: where a training step's time goes, op by op.
#include "apps/study/profile.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "apps/cli/commands.hpp"
#include "apps/cli/profile_page.hpp"
#include "apps/cli/train_options.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/error.hpp"
#include "engine/device/machine.hpp"

namespace gliograd::cli {
namespace {

struct ProfileCommand {
  study::ProfileOptions options;
  std::string device, json, trace, html;
};

Device device_named(const std::string& name) {
  if (name == "cpu") return Device::cpu;
  const GpuFacts facts = gpu_facts();
  if (!facts.names.empty()) return Device::cuda;
  if (name == "cuda") throw Error("--device cuda: " + facts.problem);
  return Device::cpu;
}

void profile(ProfileCommand command) {
  command.options.device = device_named(command.device);
  const study::Profile result = study::profile_step(command.options);
  if (command.json == "-") {
    fmt::print("{}", profile_json(result));
  } else {
    fmt::print("{}", study::profile_table(result));
    if (!command.json.empty()) write_atomically(command.json, profile_json(result));
  }
  if (!command.trace.empty()) write_atomically(command.trace, profile_trace(result));
  if (!command.html.empty()) write_atomically(command.html, profile_page(result));
}

}  // namespace

void add_profile(CLI::App& app) {
  auto* command = app.add_subcommand("profile", "a training step op by op: time, bytes, peaks");
  command->footer(
      "Trains a few steps on noise. Each op is a row forward and one backward: median and "
      "quartiles "
      "of its\ntime, the least bytes and operations, and its share of what copying memory or a "
      "plain product\nreached in the same run. On a GPU a row is its launches, timed by events.\n"
      "GLIOGRAD_TRACE=1 makes any command print each launch on a GPU as it runs, and wait for it.\n"
      "Examples:\n"
      "  gliograd profile --size 128 --threads 1\n"
      "  gliograd profile --device cuda --dtype bf16 --html step.html --trace step.json");
  auto command_options = std::make_shared<ProfileCommand>();
  study::ProfileOptions& o = command_options->options;
  const auto add = [&](const char* name, auto& value, const char* help) {
    command->add_option(name, value, help)->capture_default_str();
  };
  add("--model", o.model, "architecture: subtype or subtype-large");
  add("--size", o.size, "of the images, in pixels: 8 to 1024");
  add("--batch", o.batch, "images a step: 2 to 4096");
  add("--dtype", o.dtype, "f32; on a GPU also bf16 and f16");
  add("--preset", o.preset, "augmentation: off, light or full");
  command
      ->add_option("--device", command_options->device,
                   "auto (a GPU where there is one), cpu or cuda")
      ->default_str("auto")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}));
  add_threads_option(*command, o.threads);
  add("--steps", o.steps, "that are measured, after a few that are not: 3 to 100000");
  command->add_option("--json", command_options->json,
                      "all of it as one JSON object: a file, or - for standard output");
  command->add_option("--trace", command_options->trace,
                      "the last step as a trace that ui.perfetto.dev opens");
  command->add_option("--html", command_options->html, "a page with a roofline, self-contained");
  command->callback([command_options] { profile(*command_options); });
}

}  // namespace gliograd::cli
