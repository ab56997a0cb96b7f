#include "apps/cli/leak_check.hpp"

#include "data/leak_guard.hpp"
#include "data/readers/csv.hpp"
#include "engine/core/log.hpp"

namespace gliograd::cli {

namespace {

data::NameMapping read_mapping(const std::string& path) {
  if (path.empty()) return {};
  const data::CsvTable table = data::read_csv(path);
  return {path, table.header, table.rows};
}

data::SeenPatients seen_of(const models::SeenRecord& record) {
  data::SeenPatients seen;
  seen.id = record.ids;
  seen.identity = record.identities;
  seen.fingerprint = record.fingerprints;
  seen.provenance_unknown = record.provenance_unknown;
  return seen;
}

}  // namespace

void guard_against_leaks(const data::Dataset& set, const study::Target& target,
                         const models::Checkpoint* init, const study::CrossvalSettings& settings) {
  const data::NameMapping mapping = read_mapping(settings.mapping);
  for (const std::string& warning : data::check_cohort(set, mapping)) log_warning(warning);
  if (init == nullptr) return;
  std::vector<int32_t> tested;  // every labeled patient is, in some fold
  for (size_t p = 0; p < set.patients.size(); ++p) {
    if (target.labels[p] >= 0) tested.push_back(static_cast<int32_t>(p));
  }
  const std::vector<std::string> warnings = data::check_leak(
      set, tested, seen_of(init->seen), mapping, {.assume_disjoint = settings.assume_disjoint});
  for (const std::string& warning : warnings) log_warning(warning);
}

}  // namespace gliograd::cli
