#include "data/readers/prepare_lgg.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>

#include "data/leak_guard.hpp"
#include "data/readers/source_folder.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/digest.hpp"

namespace gliograd::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kChannels = 3;
constexpr int64_t kFlair = 1;

/// "TCGA_CS_4941_19960909" -> "TCGA_CS_4941"
std::string without_date(const std::string& name) {
  if (name.size() < 10 || name[name.size() - 9] != '_') return name;
  const bool digits =
      std::all_of(name.end() - 8, name.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits ? name.substr(0, name.size() - 9) : name;
}

struct PatientFiles {
  std::string id;
  std::vector<SliceFiles> slices;
};

std::vector<PatientFiles> find_patients(const fs::path& root, bool mask_optional) {
  std::vector<PatientFiles> patients;
  std::map<std::string, std::string> folder_of;
  for (const std::string& folder : folders_in(root.string())) {
    PatientFiles patient;
    patient.id = without_date(fs::path(folder).filename().string());
    patient.slices = slice_files(folder, {".tif", ".tiff"}, mask_optional);
    const auto [first, fresh] = folder_of.emplace(patient.id, folder);
    if (!fresh) {
      throw Error(folder + ": patient " + patient.id + " has another folder, " + first->second);
    }
    patients.push_back(std::move(patient));
  }
  if (patients.empty()) throw Error(root.string() + ": holds no patient folders");
  return patients;
}

}  // namespace

Prepared prepare_lgg(const std::string& folder, const LggOptions& options,
                     const Progress& progress) {
  check_folder(folder);
  fs::path root = folder;
  if (fs::is_directory(root / "kaggle_3m")) root /= "kaggle_3m";  // as the archive unpacks
  const std::string table_path =
      options.table.empty() ? (root / "data.csv").string() : options.table;
  const CsvTable table = read_csv(table_path);
  const std::vector<std::string> listed = patients_in(table);
  const std::vector<PatientFiles> patients = find_patients(root, options.mask_optional);
  for (const PatientFiles& patient : patients) {
    if (std::find(listed.begin(), listed.end(), patient.id) == listed.end()) {
      throw Error(fs::path(patient.slices[0].image).parent_path().string() + ": patient " +
                  patient.id + " is not in the table " + table_path);
    }
  }
  const auto count = static_cast<int64_t>(patients.size());
  std::vector<PreparedPatient> prepared(patients.size());
  std::vector<std::string> digests(patients.size());
  for_each_decoding(
      count, options.threads,
      [&](int64_t p, ImageDecoder& decoder) {
        Digest digest;
        std::vector<WholeSlice> slices;
        for (const SliceFiles& files : patients[p].slices) {
          slices.push_back(read_slice(files, kChannels, decoder, digest));
        }
        Patient patient;
        patient.id = patients[p].id;
        patient.site = site_of(patient.id);
        patient.identity = canonical_identity(patient.id);
        patient.present = present_channels(slices, kChannels, kFlair);
        prepared[p] = prepare_patient(patient, std::move(slices), options.crop);
        digests[p] = digest.hex();
      },
      progress);
  Prepared out;
  leave_out_empty(prepared, out.notes);
  out.set = join_patients(std::move(prepared), {"pre", "flair", "post"});
  out.set.name = folder;
  add_columns(out.set, table, options.columns);
  Digest digest;
  digest.add(read_text(table_path));
  for (const std::string& one : digests) digest.add(one);
  digest.add(settings_text(options.crop));
  out.set.digest = digest.hex();

  std::string missing;
  int64_t missing_count = 0;
  for (const std::string& id : listed) {
    const bool found = std::any_of(patients.begin(), patients.end(),
                                   [&](const PatientFiles& patient) { return patient.id == id; });
    if (found) continue;
    missing += (missing_count++ == 0 ? "" : ", ") + id;
  }
  if (missing_count > 0) {
    out.notes.push_back(std::to_string(missing_count) +
                        " patients of the table have no folder: " + missing);
  }
  return out;
}

}  // namespace gliograd::data
