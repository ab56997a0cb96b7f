#include "apps/cli/looks.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <vector>

#include "apps/study/ledger.hpp"
#include "engine/core/error.hpp"
#include "engine/core/log.hpp"

namespace gliograd::cli {

std::string ledger_path(const std::string& ledger, const std::string& data) {
  if (!ledger.empty()) return ledger;
  return (std::filesystem::absolute(data).parent_path() / "looks.csv").string();
}

void check_ledger(const std::string& ledger, const std::string& data) {
  const std::string path = ledger_path(ledger, data);
  study::read_ledger(path);
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  const bool exists = ::access(path.c_str(), F_OK) == 0;
  if (::access(exists ? path.c_str() : folder.c_str(), W_OK) != 0) {
    throw Error(path + ": cannot be written: " + std::strerror(errno));
  }
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
