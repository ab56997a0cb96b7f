// gliograd profile: where a training step's time goes, op by op.
#include "apps/study/profile.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <sstream>

#include "apps/cli/commands.hpp"
#include "apps/cli/profile_page.hpp"
#include "apps/cli/train_options.hpp"
#include "apps/study/profile_kernel.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/error.hpp"
#include "engine/device/machine.hpp"

namespace gliograd::cli {
namespace {

struct ProfileCommand {
  study::ProfileOptions options;
  std::string device, json, trace, html, kernel, shape;
  bool list = false;
};

Device device_named(const std::string& name) {
  if (name == "cpu") return Device::cpu;
  const std::string problem = gpu_problem();
  if (problem.empty()) return Device::cuda;
  if (name == "cuda") throw Error("--device cuda: " + problem);
  return Device::cpu;
}

DType kernel_type(const std::string& name) {
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    if (name == gliograd::name_of(type)) return type;
  }
  throw Error("--dtype of a kernel must be f32, bf16 or f16; got \"" + name + '"');
}

// "32x80x80x16"
std::vector<int64_t> axes_of(const std::string& text) {
  std::vector<int64_t> axes;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, 'x');) {
    const bool digits = !part.empty() && part.size() < 10 &&
                        part.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stoll(part) < 1) {
      throw Error("--shape wants axes like 32x80x80x16; got \"" + text + '"');
    }
    axes.push_back(std::stoll(part));
  }
  return axes;
}

// The GPU's kernels, which a machine without one does not know.
void kernels_of(const ProfileCommand& command) {
  if (!(command.json + command.trace + command.html).empty()) {
    throw Error("--json, --trace and --html are of a whole step, not of --list or --kernel");
  }
  const std::string problem = gpu_problem();
  if (!problem.empty()) {
    throw Error((command.list ? "--list: " : "--kernel: ") + problem +
                "; kernels run on a GPU alone");
  }
  const DType dtype = kernel_type(command.options.dtype);
  if (command.list) {
    fmt::print("{}", study::kernel_list_text(study::list_kernels(dtype)));
    return;
  }
  const study::KernelOptions options{.kernel = command.kernel,
                                     .dtype = dtype,
                                     .shape = axes_of(command.shape),
                                     .steps = command.options.steps};
  fmt::print("{}", study::kernel_run_text(study::profile_kernel(options), options));
}

void profile(ProfileCommand command) {
  if (command.list || !command.kernel.empty()) return kernels_of(command);
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
      "  gliograd profile --device cuda --dtype bf16 --html step.html --trace step.json\n"
      "  gliograd profile --kernel batch_norm_apply --shape 32x80x80x16 --dtype bf16");
  auto command_options = std::make_shared<ProfileCommand>();
  study::ProfileOptions& o = command_options->options;
  const auto add = [&](const char* name, auto& value, const char* help) {
    command->add_option(name, value, help)->capture_default_str();
  };
  add("--model", o.model, "architecture: subtype or subtype-large");
  add("--size", o.size, "of the images, in pixels: 8 to 1024");
  add("--batch", o.batch, "images a step: 2 to 4096");
  add("--dtype", o.dtype,
      "f32 or bf16; on a GPU also f16 and tf32 (products of f32 rounded to TF32)");
  add("--preset", o.preset, "augmentation: off, light or full");
  command
      ->add_option("--device", command_options->device,
                   "auto (a GPU where there is one), cpu or cuda")
      ->default_str("auto")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}));
  add_threads_option(*command, o.threads);
  add("--steps", o.steps, "that are measured, after a few that are not: 3 to 10000");
  command->add_option("--json", command_options->json,
                      "all of it as one JSON object: a file, or - for standard output");
  command->add_option("--trace", command_options->trace,
                      "the last step as a trace that ui.perfetto.dev opens");
  command->add_option("--html", command_options->html, "a page with a roofline, self-contained");
  command->add_flag(
      "--list", command_options->list,
      "instead: the kernels of ops, augmentation and optimizer, with registers, shared "
      "memory, occupancy");
  auto* kernel = command->add_option("--kernel", command_options->kernel,
                                     "instead: one kernel alone, and the ncu line that shows it");
  command
      ->add_option("--shape", command_options->shape,
                   "of that kernel's first input, 32x80x80x16 (of augmentation 32x80x80, of the "
                   "optimizer weights alone); default: a layer's")
      ->needs(kernel);
  command->callback([command_options] { profile(*command_options); });
}

}  // namespace gliograd::cli
