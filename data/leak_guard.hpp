// The leak guard: code, not care, keeps a test patient out of everything that was learned before it
// is scored. Checkpoints carry the patients they ever saw, through every transfer; this file says
// whether one of them is a test patient, under this name or another. A second guard looks at one
// fold: what was drawn and what was averaged.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "data/fingerprint.hpp"

namespace gliograd::data {

constexpr const char* kUnknownIdentity = "unknown";
/// The identity of what is nobody: a photograph. Needs no assurance that it is no test patient.
constexpr const char* kNobody = "none";

/// "TCGA-CS-4941" for names that begin so, with - or _, in any case ("TCGA_CS_4941_19960909"); else
/// "unknown".
std::string canonical_identity(const std::string& name);

/// All patients that weights have seen: in training, or in choosing an epoch.
struct SeenPatients {
  std::vector<std::string> id;
  std::vector<std::string> identity;  // canonical, "unknown" or "none"
  std::vector<Fingerprint> fingerprint;
  bool provenance_unknown = false;  // weights from elsewhere, whose patients nobody wrote down

  size_t size() const { return id.size(); }
};

/// These patients of a set.
SeenPatients seen_in(const Dataset& set, const std::vector<int32_t>& patients);
/// Adds what `from` has seen; a patient with the same id, identity and fingerprint once.
void merge_seen(SeenPatients& into, const SeenPatients& from);

/// Names that mean the same patient, as BraTS publishes them (name_mapping.csv).
class NameMapping {
 public:
  NameMapping() = default;
  /// Columns whose title holds "ID" or "name" (in any case) are names of the row's patient; where
  /// none does, all columns are. Blank, NA and the like are no names. Rows that share a name are
  /// one patient. Errors: Error that names the file when a row is longer than the header, or when
  /// fewer than two columns hold names.
  NameMapping(const std::string& file, const std::vector<std::string>& header,
              const std::vector<std::vector<std::string>>& rows);

  /// One key for all names of a patient, whatever their case and separators.
  std::string key(const std::string& name) const;
  /// A known identity among this patient's names, or "unknown".
  std::string identity(const std::string& name) const;

 private:
  std::map<std::string, std::string> root_;      // normalized name -> key
  std::map<std::string, std::string> identity_;  // key -> canonical identity
};

struct LeakOptions {
  bool assume_disjoint = false;  // the user vouches for patients without a public identity
};

/// Compares the test patients of a set with all that the weights have seen. Returns warnings for
/// the user and the result's tables: a patient that looks like a seen one of another name, what was
/// assumed. Errors: Error that names the patient when it was seen, by id, identity or mapping;
/// Error when seen patients have no identity, or nobody knows who was seen, and disjointness is not
/// assumed.
std::vector<std::string> check_leak(const Dataset& set, const std::vector<int32_t>& test_patients,
                                    const SeenPatients& seen, const NameMapping& mapping = {},
                                    const LeakOptions& options = {});

/// Two entries of one set that are the same person would end up on both sides of a split. Returns
/// warnings for pairs that look alike; Error for a pair with one identity or one mapped name.
std::vector<std::string> check_cohort(const Dataset& set, const NameMapping& mapping = {});

/// Errors: Error that names the patient when one of `slices` belongs to a test patient. `what` is
/// for the message: "the draws of epoch 3".
void check_fold_slices(const Dataset& set, const std::vector<int32_t>& test_patients,
                       const std::vector<int32_t>& slices, const std::string& what);
/// The same for patients that went into a statistic (a mean, a threshold, a scaler).
void check_fold_patients(const Dataset& set, const std::vector<int32_t>& test_patients,
                         const std::vector<int32_t>& patients, const std::string& what);

}  // namespace gliograd::data
