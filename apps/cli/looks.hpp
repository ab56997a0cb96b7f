// The ledger of looks from the command line: where it stands, and one line for each outer
// evaluation.
#pragma once
#include <string>

namespace gliograd::cli {

/// `ledger`, or looks.csv beside the prepared set `data` where none was named.
std::string ledger_path(const std::string& ledger, const std::string& data);

/// Reads the ledger before a long run, so that a damaged one is refused then and not at its end.
void check_ledger(const std::string& ledger, const std::string& data);

/// Records the look in `ledger`, by default looks.csv beside the prepared set. The same run with
/// the same result, asked for again, is no other look.
void note_look(const std::string& ledger, const std::string& data, const std::string& target,
               const std::string& digest, double auc, const std::string& run);

}  // namespace gliograd::cli
