// gliograd doctor: what is here, what works, what is missing and how to get it.
#include <fmt/format.h>
#include <hdf5.h>
#include <spdlog/version.h>
#include <tiffio.h>
#include <zlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <regex>

#include "apps/cli/commands.hpp"
#include "engine/core/error.hpp"
#include "engine/core/interrupt.hpp"
#include "engine/device/machine.hpp"
#include "engine/device/stream.hpp"
#include "engine/ops/case_check.hpp"

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

const char* text_of(GpuCode code) {
  switch (code) {
    case GpuCode::machine_code: return "runs this build's machine code";
    case GpuCode::ptx: return "runs this build after the driver has compiled its PTX, once";
    case GpuCode::none: return "cannot run this build";
  }
  return "";
}

/// What this build can do with GPU i.
std::string use_of(const GpuFacts& gpu, size_t i, const GpuLibraryFacts& library) {
  if (!library.problem.empty()) return "cannot be used without the GPU library";
  return text_of(gpu_code_for(library, gpu.capabilities[i], gpu.driver));
}

void print_gpus(const GpuFacts& gpu, const GpuLibraryFacts& library) {
  if (gpu.names.empty()) {
    fmt::print("{:<14} none ({}); all work runs on the processor\n", "GPU", gpu.problem);
  }
  for (size_t i = 0; i < gpu.names.size(); ++i) {
    fmt::print("{:<14} {} (compute capability {}.{}, driver for CUDA {}): {}\n", "GPU",
               gpu.names[i], gpu.capabilities[i] / 10, gpu.capabilities[i] % 10,
               cuda_version_text(gpu.driver), use_of(gpu, i, library));
  }
  if (!library.problem.empty()) {
    fmt::print("{:<14} {}\n", "GPU library", library.problem);
    return;
  }
  fmt::print("{:<14} CUDA {}: machine code for sm_{}; PTX for {}.{} and later\n", "GPU library",
             cuda_version_text(library.toolkit), fmt::join(library.machine_code, ", sm_"),
             library.ptx / 10, library.ptx % 10);
  if (library.cudnn_built.empty()) {
    fmt::print("{:<14} not in this build; convolutions on a GPU are many times slower without\n",
               "cuDNN");
  } else {
    fmt::print("{:<14} {} (built with {})\n", "cuDNN", library.cudnn_loaded, library.cudnn_built);
  }
  fmt::print("{:<14} {}\n", "cuBLASLt",
             library.cublaslt.empty()
                 ? "not in this build; linear layers on a GPU take kernels of any shape"
                 : library.cublaslt);
}

void print_machine(const MachineFacts& machine, const std::vector<Library>& found) {
  fmt::print("gliograd {}, for research use only\n\n", GLIOGRAD_VERSION);
  fmt::print("{:<14} {}\n", "processor", machine.processor);
  fmt::print("{:<14} {}\n", "  cores", machine.cores);
  fmt::print(
      "{:<14} {}\n", "  vectors",
      machine.features.empty() ? "plain x86-64" : fmt::to_string(fmt::join(machine.features, " ")));
  fmt::print("{:<14} {}, {} available\n", "memory", gib(machine.memory_bytes),
             gib(machine.available_bytes));
  for (const Library& library : found) {
    if (!library.version.empty()) {
      fmt::print("{:<14} {}\n", library.name, library.version);
    } else {
      fmt::print("{:<14} not in this build; {}\n", library.name, library.advice);
    }
  }
}

/// Why the GPU's paths cannot be compared; empty where they can.
std::string why_no_gpu(const GpuFacts& gpu, const GpuLibraryFacts& library) {
  if (gpu.names.empty()) return gpu.problem;
  if (!library.problem.empty()) return library.problem;
  if (gpu_code_for(library, gpu.capabilities[0], gpu.driver) == GpuCode::none) {
    return gpu.names[0] + " cannot run this build";
  }
  return "";
}

void print_tallies(const std::vector<CaseTally>& tallies) {
  for (const CaseTally& op : tallies) {
    fmt::print("  {:<28} {:>4} compared, worst {:>3.0f} % of its tolerance{}{}\n", op.name,
               op.compared, 100 * op.worst, op.failed > 0 ? "  FAILED" : "",
               op.skipped > 0 ? fmt::format(", {} left out", op.skipped) : "");
    for (const CaseOutcome& one : op.failures) {
      fmt::print("    {}: error {:.2e}, tolerance {:.0e}\n", one.where, one.error, one.tolerance);
    }
  }
}

/// One device's tallies, and their sum added to `total`.
json to_json(const std::vector<CaseTally>& tallies, CaseTally& total) {
  json rows = json::array();
  for (const CaseTally& op : tallies) {
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
  return rows;
}

json to_json(const MachineFacts& machine, const GpuFacts& gpu, const GpuLibraryFacts& library,
             const std::vector<Library>& found) {
  json out = {{"version", GLIOGRAD_VERSION},          {"processor", machine.processor},
              {"features", machine.features},         {"cores", machine.cores},
              {"memory_bytes", machine.memory_bytes}, {"gpus", json::array()},
              {"libraries", json::object()}};
  for (size_t i = 0; i < gpu.names.size(); ++i) {
    out["gpus"].push_back({{"name", gpu.names[i]},
                           {"capability", gpu.capabilities[i]},
                           {"driver", gpu.driver},
                           {"use", use_of(gpu, i, library)}});
  }
  if (!library.problem.empty()) {
    out["gpu_library"] = {{"problem", library.problem}};
  } else {
    out["gpu_library"] = {
        {"machine_code", library.machine_code}, {"ptx", library.ptx},
        {"toolkit", library.toolkit},           {"cudnn_built", library.cudnn_built},
        {"cudnn_loaded", library.cudnn_loaded}, {"cublaslt", library.cublaslt}};
  }
  for (const Library& one : found) {
    out["libraries"][one.name] = one.version.empty() ? json() : json(one.version);
  }
  return out;
}

/// Compares, prints unless as JSON, and leaves the result in `out`. Returns the sums.
CaseTally check(const DoctorOptions& options, const std::vector<Case>& cases,
                const std::string& no_gpu, json& out) {
  watch_for_interrupt();
  const std::unique_ptr<Stream> cpu = Stream::cpu();
  const std::unique_ptr<Stream> gpu = no_gpu.empty() ? Stream::cuda() : nullptr;
  const uint64_t seed = std::random_device()();
  const CaseCheck found =
      check_cases(cases, *cpu, gpu.get(),
                  {.seconds = options.seconds, .seed = seed, .between = stop_if_interrupted});
  CaseTally total;
  out = {{"seed", seed}, {"ops", to_json(found.cpu, total)}};
  if (gpu != nullptr) {
    out["gpu"] = {{"ops", to_json(found.gpu, total)}};
  } else {
    out["gpu"] = {{"skipped", no_gpu}};
    total.skipped += static_cast<int>(cases.size());
  }
  out["compared"] = total.compared;
  out["failed"] = total.failed;
  out["skipped"] = total.skipped;
  if (options.as_json) return total;
  fmt::print("\nEvery op's paths against its f64 reference, its gradients against differences:\n");
  print_tallies(found.cpu);
  if (gpu != nullptr) {
    fmt::print("\nOn the GPU, in f32, bf16 and f16, against the same reference:\n");
    print_tallies(found.gpu);
  } else {
    std::vector<std::string> names;
    for (const Case& one : cases) names.push_back(one.name);
    fmt::print("\nSkipped on a GPU ({}): {}\n", no_gpu, fmt::join(names, ", "));
  }
  fmt::print("{} compared, {} failed, {} skipped (seed {})\n", total.compared, total.failed,
             total.skipped, seed);
  return total;
}

void doctor(const DoctorOptions& options) {
  std::vector<Case> cases;
  if (options.check) cases = chosen_cases(options.ops);
  const MachineFacts machine = machine_facts();
  const GpuFacts gpu = gpu_facts();
  const GpuLibraryFacts library = gpu_library_facts();
  const std::vector<Library> found = libraries();
  json out = to_json(machine, gpu, library, found);
  if (!options.as_json) {
    print_machine(machine, found);
    print_gpus(gpu, library);
  }
  CaseTally total;
  if (options.check) total = check(options, cases, why_no_gpu(gpu, library), out["check"]);
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
                    "compare every op's paths on this machine, on its GPU too, about a minute");
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
