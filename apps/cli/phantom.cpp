// phantom: writes a synthetic cohort in the layout of the public lower-grade set.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/cli/commands.hpp"
#include "data/readers/phantom_files.hpp"
#include "engine/core/log.hpp"
#include "engine/device/machine.hpp"

namespace gliograd::cli {
namespace {

struct PhantomCommand {
  data::PhantomOptions phantom;
  std::string out;
  int threads = usable_cores();
  bool json = false;
};

void run_phantom(const PhantomCommand& command) {
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const auto progress = [&](int64_t done, int64_t total) {
    if (terminal)
      fmt::print(stderr, "\r{} of {} patients{}", done, total, done == total ? "\n" : "");
  };
  const data::PhantomFiles files =
      data::write_phantom(command.out, command.phantom, command.threads, progress);
  if (command.json) {
    nlohmann::ordered_json out;
    out["folder"] = command.out;
    out["patients"] = files.patients;
    out["slices"] = files.slices;
    out["tumor_slices"] = files.tumor_slices;
    out["seed"] = command.phantom.seed;
    out["signal"] = command.phantom.signal;
    fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  fmt::print(
      "{}: {} made-up patients, {} slices ({} with tumor) of {}x{} pixels\n"
      "  planted: COCCluster=2 (margin and texture), signal {}; not to be found: miRNACluster\n"
      "  next: gliograd prepare lgg {} --size 64 --out phantom.h5\n",
      command.out, files.patients, files.slices, files.tumor_slices, command.phantom.size,
      command.phantom.size, command.phantom.signal, command.out);
}

}  // namespace

void add_phantom(CLI::App& app) {
  auto* command = app.add_subcommand(
      "phantom", "write a synthetic cohort in the layout of the public lower-grade glioma set");
  auto options = std::make_shared<PhantomCommand>();
  data::PhantomOptions& phantom = options->phantom;
  command->add_option("--out", options->out, "folder to make; it must not hold anything yet")
      ->required();
  command->add_option("--patients", phantom.patients, "half of them have COCCluster 2")
      ->check(CLI::Range(6, 9999));
  command->add_option("--size", phantom.size, "pixels a side of a slice")
      ->check(CLI::Range(32, 512));
  command->add_option("--slices", phantom.slices, "with tumor, a patient, in the mean")
      ->check(CLI::Range(3, 40));
  command
      ->add_option("--signal", phantom.signal,
                   "how much the subtype shows in shape and texture; 0: not at all")
      ->check(CLI::Range(0.0, 2.0));
  command->add_option("--seed", phantom.seed, "another seed, another cohort");
  command->add_option("--threads", options->threads, "patients at once")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--json", options->json, "print the summary as JSON");
  command->footer("Example: gliograd phantom --out phantom --patients 60 --seed 1");
  command->callback([options] { run_phantom(*options); });
}

}  // namespace gliograd::cli
