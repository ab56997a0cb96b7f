#include "apps/cli/facts.hpp"

#include <ctime>
#include <filesystem>
#include <gliograd_commit.hpp>

#include "engine/core/atomic_file.hpp"
#include "engine/core/digest.hpp"
#include "engine/device/machine.hpp"

namespace gliograd::cli {

RunFacts run_facts(const data::Dataset& set, const std::string& data_file,
                   const std::string& device, const models::Checkpoint* init) {
  RunFacts facts;
  facts.run = {{"data", std::filesystem::absolute(data_file).string()},
               {"digest", set.digest},
               {"mask-source", set.has_masks() ? "manual" : "none"}};
  if (init != nullptr) {
    Digest digest;  // another checkpoint of the same name must not go on with this run's folds
    const std::vector<uint8_t> bytes = read_bytes(init->source);
    digest.add(bytes.data(), bytes.size());
    facts.run.emplace_back("init-digest", digest.hex());
    facts.run.emplace_back("init-architecture", init->architecture);
    facts.run.emplace_back("init-patients", std::to_string(init->seen.ids.size()));
    if (init->seen.provenance_unknown) facts.run.emplace_back("init-provenance", "unknown");
  }
  facts.machine = {{"device", device},
                   {"kind", device == "cuda" ? gpu_facts().names[0] : machine_facts().kind}};
  if (device == "cuda") {  // plans.csv names engines and algorithms of these versions
    const GpuLibraryFacts library = gpu_library_facts();
    facts.machine.emplace_back("cudnn", library.cudnn_loaded);
    facts.machine.emplace_back("cublaslt", library.cublaslt);
  }
  char date[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
  facts.provenance = {{"version", GLIOGRAD_VERSION},
                      {"commit", GLIOGRAD_COMMIT},
                      {"build", GLIOGRAD_BUILD},
                      {"date", date}};
  return facts;
}

}  // namespace gliograd::cli
