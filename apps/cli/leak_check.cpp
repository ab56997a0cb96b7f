#include "apps/cli/leak_check.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/study/ledger.hpp"
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

std::string ledger_path(const std::string& ledger, const std::string& data) {
  if (!ledger.empty()) return ledger;
  return (std::filesystem::absolute(data).parent_path() / "looks.csv").string();
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

void check_ledger(const std::string& ledger, const std::string& data) {
  study::read_ledger(ledger_path(ledger, data));
}

void note_look(const std::string& ledger, const std::string& data, const std::string& target,
               const std::string& digest, double auc, const std::string& run) {
  const std::string path = ledger_path(ledger, data);
  const std::vector<study::Look> before = study::read_ledger(path);
  const bool known = std::any_of(before.begin(), before.end(), [&](const study::Look& look) {
    return look.target == target && look.settings == digest && look.run == run &&
           std::abs(look.auc - auc) < 1e-6;  // it is written with 6 decimals
  });
  if (!known) {
    study::record_look(
        path,
        {.date = study::utc_now(), .target = target, .settings = digest, .auc = auc, .run = run});
  }
  const int looks = study::count_looks(study::read_ledger(path), target);
  log_info("looks at " + target + " so far: " + std::to_string(looks) + " (" + path + ")");
}

}  // namespace gliograd::cli
