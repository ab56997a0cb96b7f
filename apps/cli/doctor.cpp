// gliograd doctor: what is here, what works, what is missing and how to get it.
#include <fmt/format.h>
#include <hdf5.h>
#include <spdlog/version.h>
#include <tiffio.h>
#include <zlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <regex>

#include "apps/cli/commands.hpp"
#include "engine/core/error.hpp"
#include "engine/core/interrupt.hpp"
#include "engine/device/machine.hpp"
#include "engine/device/stream.hpp"
#include "engine/ops/case.hpp"

namespace gliograd::cli {
namespace {

using nlohmann::json;

struct DoctorOptions {
  bool check = false;
  bool as_json = false;
  std::string ops = ".*";
  double seconds = 60;
};

struct Library {
  std::string name;
  std::string version;  // empty: not in this build
  std::string advice;   // how to get it
};

std::vector<Library> libraries() {
  unsigned h5[3] = {};
  H5get_libversion(&h5[0], &h5[1], &h5[2]);
  const std::string tiff = TIFFGetVersion();  // "LIBTIFF, Version 4.5.0\nCopyright ..."
  std::smatch found;
  std::regex_search(tiff, found, std::regex(R"(\d+\.\d+(\.\d+)?)"));
  return {
      {"oneDNN", onednn_version(),
       "convolutions are several times faster with oneDNN 3.1 or newer: Ubuntu 24.04 packages it "
       "as libdnnl-dev; elsewhere ./run build installs it into .deps/onednn"},
      {"HDF5", fmt::format("{}.{}.{}", h5[0], h5[1], h5[2]), ""},
      {"libtiff", found.str(), ""},
      {"zlib", zlibVersion(), ""},
      {"CLI11", CLI11_VERSION, ""},
      {"fmt",
       fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100),
       ""},
      {"spdlog", fmt::format("{}.{}.{}", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH), ""},
      {"nlohmann-json",
       fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                   NLOHMANN_JSON_VERSION_PATCH),
       ""},
  };
}

/// One op's comparisons, added up.
struct OpOutcome {
  std::string name;
  int compared = 0;
  int failed = 0;
  int skipped = 0;   // rows left out for lack of time
  double worst = 0;  // largest error as a share of its tolerance
  std::vector<CaseOutcome> failures;
};

class Checker {
 public:
  explicit Checker(double seconds) : stream_(Stream::cpu()), seconds_(seconds) {}

  /// Small rows and gradients first, layers of real size then, as long as there is time.
  std::vector<OpOutcome> run(const std::vector<Case>& cases, uint64_t seed) {
    std::vector<OpOutcome> outcomes(cases.size());
    for (size_t i = 0; i < cases.size(); ++i) outcomes[i].name = cases[i].name;
    for (const bool bench : {false, true}) {
      for (size_t i = 0; i < cases.size(); ++i) {
        for (const CaseRow& row : cases[i].rows) {
          if (row.bench != bench) continue;
          stop_if_interrupted();
          if (spent() > seconds_) {
            ++outcomes[i].skipped;
            continue;
          }
          add(outcomes[i], compare_paths(cases[i], row, *stream_, seed));
          add(outcomes[i], check_gradients(cases[i], row, *stream_, seed));
        }
      }
    }
    return outcomes;
  }

 private:
  double spent() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  static void add(OpOutcome& op, const std::vector<CaseOutcome>& outcomes) {
    for (const CaseOutcome& one : outcomes) {
      ++op.compared;
      op.worst = std::max(op.worst, one.error / one.tolerance);
      if (!one.passed) {
        ++op.failed;
        op.failures.push_back(one);
      }
    }
  }

  std::unique_ptr<Stream> stream_;
  double seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::vector<Case> chosen_cases(const std::string& ops) {
  std::regex pattern;
  try {
    pattern = std::regex(ops, std::regex::ECMAScript);
  } catch (const std::regex_error&) {
    throw Error(concat_text("--ops: \"", ops, "\" is not a regular expression"));
  }
  std::vector<Case> chosen;
  std::string known;
  for (const Case& one : all_cases()) {
    known += (known.empty() ? "" : ", ") + one.name;
    if (std::regex_search(one.name, pattern)) chosen.push_back(one);
  }
  if (chosen.empty()) throw Error(concat_text("--ops: \"", ops, "\" matches no op of: ", known));
  return chosen;
}

std::string gib(int64_t bytes) { return fmt::format("{:.1f} GiB", bytes / 1073741824.0); }

void print_machine(const MachineFacts& machine, const GpuFacts& gpu,
                   const std::vector<Library>& found) {
  fmt::print("gliograd {}, for research use only\n\n", GLIOGRAD_VERSION);
  fmt::print("{:<14} {}\n", "processor", machine.processor);
  fmt::print("{:<14} {}\n", "  cores", machine.cores);
  fmt::print(
      "{:<14} {}\n", "  vectors",
      machine.features.empty() ? "plain x86-64" : fmt::to_string(fmt::join(machine.features, " ")));
  fmt::print("{:<14} {}, {} available\n", "memory", gib(machine.memory_bytes),
             gib(machine.available_bytes));
  if (gpu.names.empty()) {
    fmt::print("{:<14} none ({}); all work runs on the processor\n", "GPU", gpu.problem);
  } else {
    fmt::print("{:<14} {} (driver for CUDA {}); this build computes on the processor\n", "GPU",
               fmt::join(gpu.names, ", "), gpu.driver);
  }
  for (const Library& library : found) {
    if (!library.version.empty()) {
      fmt::print("{:<14} {}\n", library.name, library.version);
    } else {
      fmt::print("{:<14} not in this build; {}\n", library.name, library.advice);
    }
  }
}

void print_check(const std::vector<OpOutcome>& outcomes) {
  fmt::print("\nEvery op's paths against its f64 reference, its gradients against differences:\n");
  for (const OpOutcome& op : outcomes) {
    fmt::print("  {:<28} {:>4} compared, worst {:>3.0f} % of its tolerance{}{}\n", op.name,
               op.compared, 100 * op.worst, op.failed > 0 ? "  FAILED" : "",
               op.skipped > 0 ? fmt::format(", {} left out for time", op.skipped) : "");
    for (const CaseOutcome& one : op.failures) {
      fmt::print("    {}: error {:.2e}, tolerance {:.0e}\n", one.where, one.error, one.tolerance);
    }
  }
}

json to_json(const MachineFacts& machine, const GpuFacts& gpu, const std::vector<Library>& found) {
  json out = {{"version", GLIOGRAD_VERSION},          {"processor", machine.processor},
              {"features", machine.features},         {"cores", machine.cores},
              {"memory_bytes", machine.memory_bytes}, {"gpus", gpu.names},
              {"libraries", json::object()}};
  for (const Library& library : found) {
    out["libraries"][library.name] = library.version.empty() ? json() : json(library.version);
  }
  return out;
}

void doctor(const DoctorOptions& options) {
  std::vector<Case> cases;
  if (options.check) cases = chosen_cases(options.ops);
  const MachineFacts machine = machine_facts();
  const GpuFacts gpu = gpu_facts();
  const std::vector<Library> found = libraries();
  json out = to_json(machine, gpu, found);
  if (!options.as_json) print_machine(machine, gpu, found);
  OpOutcome total;
  if (options.check) {
    watch_for_interrupt();
    const uint64_t seed = std::random_device()();
    const std::vector<OpOutcome> outcomes = Checker(options.seconds).run(cases, seed);
    json rows = json::array();
    for (const OpOutcome& op : outcomes) {
      total.compared += op.compared;
      total.failed += op.failed;
      total.skipped += op.skipped;
      json failures = json::array();
      for (const CaseOutcome& one : op.failures) {
        failures.push_back(
            {{"where", one.where}, {"error", one.error}, {"tolerance", one.tolerance}});
      }
      rows.push_back({{"op", op.name},
                      {"compared", op.compared},
                      {"failed", op.failed},
                      {"skipped", op.skipped},
                      {"failures", failures}});
    }
    out["check"] = {{"seed", seed},
                    {"ops", rows},
                    {"compared", total.compared},
                    {"failed", total.failed},
                    {"skipped", total.skipped}};
    if (!options.as_json) {
      print_check(outcomes);
      fmt::print("{} compared, {} failed, {} skipped (seed {})\n", total.compared, total.failed,
                 total.skipped, seed);
    }
  }
  if (options.as_json) fmt::print("{}\n", out.dump(2));
  // Comparing nothing is not a pass.
  if (options.check && (total.failed > 0 || total.compared == 0)) throw CLI::RuntimeError(1);
}

}  // namespace

void add_doctor(CLI::App& app) {
  auto* command = app.add_subcommand("doctor", "what is here, what works, what is missing");
  command->footer(
      "Examples:\n  gliograd doctor\n  gliograd doctor --check --ops 'conv|batch_norm'");
  auto options = std::make_shared<DoctorOptions>();
  command->add_flag("--check", options->check,
                    "compare every op's paths on this machine, about a minute");
  command->add_option("--ops", options->ops, "which ops to check, as a regular expression")
      ->capture_default_str();
  command
      ->add_option("--seconds", options->seconds,
                   "seconds for the check; rows beyond it are left out and counted as skipped")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 86400.0));
  command->add_flag("--json", options->as_json, "one JSON object on standard output");
  command->callback([options] { doctor(*options); });
}

}  // namespace gliograd::cli
