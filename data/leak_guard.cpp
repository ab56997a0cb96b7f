#include "data/leak_guard.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <tuple>

#include "engine/core/error.hpp"

namespace gliograd::data {
namespace {

/// Upper case, one kind of separator, no blanks at the ends; a TCGA name without date and sample.
std::string normalized(const std::string& name) {
  std::string identity = canonical_identity(name);
  if (identity != kUnknownIdentity) return identity;
  std::string text;
  for (const char c : name) {
    text += c == '_' ? '-' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && blank(text.back())) text.pop_back();
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), blank));
  return text;
}

bool no_name(const std::string& normalized_name) {
  static const std::set<std::string> kNone = {"", "NA", "N/A", "NAN", "NONE", "NULL", "-"};
  return kNone.count(normalized_name) > 0;
}

/// "id", "name" or "names" as a word of its own or at the end of one ("BraTS_2017_subject_ID").
bool is_name_column(const std::string& title) {
  const std::string text = normalized(title);
  const auto ends = [&](const std::string& word) {
    return text.size() >= word.size() &&
           text.compare(text.size() - word.size(), word.size(), word) == 0;
  };
  return ends("ID") || ends("IDS") || ends("NAME") || ends("NAMES");
}

bool known(const std::string& identity) {
  return identity != kUnknownIdentity && identity != kNobody && !identity.empty();
}

/// All keys of a patient: its id's, and its identity's where it has one.
std::set<std::string> keys_of(const std::string& id, const std::string& identity,
                              const NameMapping& mapping) {
  std::set<std::string> keys = {mapping.key(id)};
  if (known(identity)) keys.insert(mapping.key(identity));
  return keys;
}

std::string shown(const std::string& id, const std::string& identity) {
  return known(identity) && identity != id ? id + " (" + identity + ")" : id;
}

std::string similarity_text(float similarity) {
  return std::to_string(similarity).substr(0, 4);  // two decimals
}

}  // namespace

std::string canonical_identity(const std::string& name) {
  const auto separator = [&](size_t at) { return name[at] == '_' || name[at] == '-'; };
  const auto upper = [&](size_t at) {
    return static_cast<char>(std::toupper(static_cast<unsigned char>(name[at])));
  };
  if (name.size() < 12 || !separator(4) || !separator(7)) return kUnknownIdentity;
  if (name.size() > 12 && !separator(12)) return kUnknownIdentity;
  std::string identity;
  for (size_t at = 0; at < 12; ++at) {
    if (at == 4 || at == 7) {
      identity += '-';
    } else if (std::isalnum(static_cast<unsigned char>(name[at])) != 0) {
      identity += upper(at);
    } else {
      return kUnknownIdentity;
    }
  }
  return identity.compare(0, 4, "TCGA") == 0 ? identity : kUnknownIdentity;
}

SeenPatients seen_in(const Dataset& set, const std::vector<int32_t>& patients) {
  SeenPatients seen;
  for (const int32_t p : patients) {
    const Patient& patient = set.patients.at(p);
    seen.id.push_back(patient.id);
    seen.identity.push_back(patient.identity);
    seen.fingerprint.push_back(patient.fingerprint);
  }
  return seen;
}

void merge_seen(SeenPatients& into, const SeenPatients& from) {
  using Entry = std::tuple<std::string, std::string, Fingerprint>;
  std::set<Entry> have;
  for (size_t i = 0; i < into.size(); ++i) {
    have.insert({into.id[i], into.identity[i], into.fingerprint[i]});
  }
  for (size_t i = 0; i < from.size(); ++i) {
    if (!have.insert({from.id[i], from.identity[i], from.fingerprint[i]}).second) continue;
    into.id.push_back(from.id[i]);
    into.identity.push_back(from.identity[i]);
    into.fingerprint.push_back(from.fingerprint[i]);
  }
  into.provenance_unknown = into.provenance_unknown || from.provenance_unknown;
}

NameMapping::NameMapping(const std::string& file, const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> columns;
  for (size_t c = 0; c < header.size(); ++c) {
    if (is_name_column(header[c])) columns.push_back(c);
  }
  if (columns.empty()) {
    for (size_t c = 0; c < header.size(); ++c) columns.push_back(c);
  }
  if (columns.size() < 2) {
    throw Error(file + ": a table of names needs two columns of them, with titles that end in ID");
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    if (rows[r].size() > header.size()) {
      throw Error(concat_text(file, ": row ", r + 1, " has ", rows[r].size(),
                              " fields, the header ", header.size()));
    }
    std::vector<std::string> names;
    for (const size_t c : columns) {
      const std::string name = c < rows[r].size() ? normalized(rows[r][c]) : std::string();
      if (!no_name(name)) names.push_back(name);
    }
    // All patients that a name of this row already belongs to become one.
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string from = key(names[i]), to = key(names[0]);
      root_[names[i]] = to;
      if (from == to) continue;
      for (auto& [name, root] : root_) {
        if (root == from) root = to;
      }
    }
  }
  for (const auto& [name, root] : root_) {
    const std::string identity = canonical_identity(name);
    if (identity != kUnknownIdentity) identity_.emplace(root, identity);
  }
}

std::string NameMapping::key(const std::string& name) const {
  const std::string own = normalized(name);
  const auto found = root_.find(own);
  return found == root_.end() ? own : found->second;
}

std::string NameMapping::identity(const std::string& name) const {
  const auto found = identity_.find(key(name));
  return found == identity_.end() ? canonical_identity(name) : found->second;
}

std::vector<std::string> check_leak(const Dataset& set, const std::vector<int32_t>& test_patients,
                                    const SeenPatients& seen, const NameMapping& mapping,
                                    const LeakOptions& options) {
  std::map<std::string, size_t> seen_keys;
  size_t unknown = 0, first_unknown = 0;
  for (size_t s = 0; s < seen.size(); ++s) {
    for (const std::string& key : keys_of(seen.id[s], seen.identity[s], mapping)) {
      seen_keys.emplace(key, s);
    }
    if (seen.identity[s] == kNobody || known(seen.identity[s]) ||
        mapping.identity(seen.id[s]) != kUnknownIdentity) {
      continue;
    }
    if (unknown++ == 0) first_unknown = s;
  }
  for (const int32_t t : test_patients) {
    const Patient& patient = set.patients.at(t);
    for (const std::string& key : keys_of(patient.id, patient.identity, mapping)) {
      const auto found = seen_keys.find(key);
      if (found == seen_keys.end()) continue;
      throw Error(concat_text(
          set.name, ": leak: test patient ", shown(patient.id, patient.identity),
          " is among the patients that the weights have seen, as ", seen.id[found->second]));
    }
  }
  std::vector<std::string> warnings;
  if (seen.provenance_unknown) {
    if (!options.assume_disjoint) {
      throw Error(set.name +
                  ": nobody wrote down which patients the weights have seen; --seen FILE or --seen "
                  "none says it, --assume-disjoint goes on without");
    }
    warnings.push_back("assumed: the weights' unrecorded patients are none of the test patients");
  }
  if (unknown > 0) {
    if (!options.assume_disjoint) {
      throw Error(concat_text(set.name, ": ", unknown,
                              " of the patients that the weights have seen have no public ",
                              "identity (the first: ", seen.id[first_unknown],
                              "), so they may be test patients; --mapping makes them known, "
                              "--assume-disjoint goes on"));
    }
    warnings.push_back(concat_text("assumed: ", unknown, " seen patients without a public identity",
                                   " are none of the test patients"));
  }
  for (const int32_t t : test_patients) {
    const Patient& patient = set.patients[t];
    for (size_t s = 0; s < seen.size(); ++s) {
      const float alike = fingerprint_similarity(patient.fingerprint, seen.fingerprint[s]);
      if (alike < kFingerprintAlike) continue;
      warnings.push_back(concat_text("test patient ", shown(patient.id, patient.identity),
                                     " looks like ", shown(seen.id[s], seen.identity[s]),
                                     ", which the weights have seen (similarity ",
                                     similarity_text(alike), ")"));
    }
  }
  return warnings;
}

std::vector<std::string> check_cohort(const Dataset& set, const NameMapping& mapping) {
  std::map<std::string, size_t> owner;
  std::vector<std::string> warnings;
  for (size_t p = 0; p < set.patients.size(); ++p) {
    const Patient& patient = set.patients[p];
    for (const std::string& key : keys_of(patient.id, patient.identity, mapping)) {
      const auto [entry, fresh] = owner.emplace(key, p);
      if (!fresh && entry->second != p) {
        throw Error(concat_text(set.name, ": leak: patients ", set.patients[entry->second].id,
                                " and ", patient.id, " are the same person"));
      }
    }
    for (size_t q = 0; q < p; ++q) {
      const float alike = fingerprint_similarity(patient.fingerprint, set.patients[q].fingerprint);
      if (alike < kFingerprintAlike) continue;
      warnings.push_back(concat_text("patients ", set.patients[q].id, " and ", patient.id,
                                     " look alike (similarity ", similarity_text(alike), ")"));
    }
  }
  return warnings;
}

void check_fold_patients(const Dataset& set, const std::vector<int32_t>& test_patients,
                         const std::vector<int32_t>& patients, const std::string& what) {
  std::vector<bool> tested(set.patients.size(), false);
  for (const int32_t t : test_patients) tested.at(t) = true;
  for (const int32_t p : patients) {
    if (!tested.at(p)) continue;
    throw Error(
        concat_text(set.name, ": leak: test patient ", set.patients[p].id, " is in ", what));
  }
}

void check_fold_slices(const Dataset& set, const std::vector<int32_t>& test_patients,
                       const std::vector<int32_t>& slices, const std::string& what) {
  std::vector<bool> tested(set.patients.size(), false);
  for (const int32_t t : test_patients) tested.at(t) = true;
  for (const int32_t s : slices) {
    const Slice& slice = set.slices.at(s);
    if (!tested[slice.patient]) continue;
    throw Error(concat_text(set.name, ": leak: slice ", slice.number, " of test patient ",
                            set.patients[slice.patient].id, " is in ", what));
  }
}

}  // namespace gliograd::data
