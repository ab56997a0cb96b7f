#include "apps/cli/leak_check.hpp"

#include <filesystem>
#include <set>

#include "apps/study/ledger.hpp"
#include "engine/core/error.hpp"
#include "engine/core/log.hpp"

namespace gliograd::cli {

void guard_against_leaks(const data::Dataset& set, const study::Target& target,
                         const models::Checkpoint& init, const study::CrossvalSettings& settings) {
  if (init.seen.provenance_unknown && !settings.assume_disjoint) {
    throw Error(concat_text(init.source,
                            ": nobody knows whom these weights have seen; "
                            "--assume-disjoint takes them all the same"));
  }
  std::set<std::string> seen(init.seen.ids.begin(), init.seen.ids.end());
  for (const std::string& identity : init.seen.identities) {
    if (identity != "unknown") seen.insert(identity);
  }
  for (size_t p = 0; p < set.patients.size(); ++p) {
    const data::Patient& patient = set.patients[p];
    if (target.labels[p] < 0) continue;
    if (seen.count(patient.id) != 0 || seen.count(patient.identity) != 0) {
      throw Error(concat_text("leak: patient ", patient.id, " of ", set.name, " was seen by ",
                              init.source));
    }
  }
}

void note_look(const std::string& ledger, const std::string& data, const std::string& target,
               const std::string& digest, double auc, const std::string& run) {
  const std::string path =
      !ledger.empty() ? ledger
                      : (std::filesystem::absolute(data).parent_path() / "looks.csv").string();
  study::record_look(
      path,
      {.date = study::utc_now(), .target = target, .settings = digest, .auc = auc, .run = run});
  const int looks = study::count_looks(study::read_ledger(path), target);
  log_info("looks at " + target + " so far: " + std::to_string(looks) + " (" + path + ")");
}

}  // namespace gliograd::cli
