// What `gliograd crossval` does, from the prepared set to metrics.json.
#pragma once
#include <string>

#include "apps/cli/config_file.hpp"
#include "apps/study/settings.hpp"

namespace gliograd::cli {

struct CrossvalOptions {
  study::CrossvalSettings settings;
  std::string data;
  std::string out;
  std::string device = "auto";
  std::string ledger;  // empty: looks.csv beside the prepared set
  bool allow_other_machine = false;
  bool no_progress = false;
  bool json = false;
};

/// Reads, guards against leaks, cross-validates, writes the run folder and prints the table.
/// Errors: as the parts throw them; Interrupted after Ctrl-C, with the folder resumable.
void run_crossval(const CrossvalOptions& options);

}  // namespace gliograd::cli
