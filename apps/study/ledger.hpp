// The ledger of looks: a CSV with one line for every outer evaluation of a target, so that a reader
// knows how often the test patients' labels were looked at before a result was reported.
#pragma once
#include <string>
#include <vector>

namespace gliograd::study {

struct Look {
  std::string date;      // YYYY-MM-DDThh:mm:ssZ
  std::string target;    // as written: COCCluster=2
  std::string settings;  // digest of the settings in force
  double auc = 0;
  std::string run;  // run folder, or what else made it
};

/// Now, in UTC, as Look::date wants it.
std::string utc_now();

/// Appends one line (and the header to a new file) with one write under a lock, then syncs: lines
/// of several processes neither mix nor get lost. The AUC has 6 decimals. Errors: Error for an AUC
/// outside [0, 1] or an empty field, or a file that is no ledger; WorkError that names the file
/// when it cannot be written (a part of a line is taken back).
void record_look(const std::string& path, const Look& look);

/// All lines, in order; empty where there is no file. Errors: Error that names file and line for
/// what is no ledger.
std::vector<Look> read_ledger(const std::string& path);
int count_looks(const std::vector<Look>& looks, const std::string& target);

}  // namespace gliograd::study
