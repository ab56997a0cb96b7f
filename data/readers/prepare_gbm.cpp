#include "data/readers/prepare_gbm.hpp"

#include <algorithm>
#include <filesystem>

#include "data/leak_guard.hpp"
#include "data/readers/source_folder.hpp"

namespace gliograd::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kChannels = 3;
constexpr int64_t kFlair = 1;

struct Source {
  const char* folder;
  bool gray;  // one sequence a slice, which one is not recorded
};
constexpr Source kSources[] = {{"brats_3seq", false}, {"tcga_gbm", true}};

struct PatientFiles {
  std::string id;
  size_t source;  // index into kSources
  std::vector<SliceFiles> slices;
};

std::vector<PatientFiles> find_patients(const std::string& folder) {
  std::vector<PatientFiles> patients;
  for (size_t s = 0; s < std::size(kSources); ++s) {
    const fs::path root = fs::path(folder) / kSources[s].folder;
    if (!fs::exists(root)) continue;
    for (const std::string& one : folders_in(root.string())) {
      patients.push_back({fs::path(one).filename().string(), s, slice_files(one, {".png"}, false)});
    }
  }
  if (patients.empty()) throw Error(folder + ": holds neither tcga_gbm nor brats_3seq patients");
  std::sort(patients.begin(), patients.end(),
            [](const PatientFiles& a, const PatientFiles& b) { return a.id < b.id; });
  return patients;
}

}  // namespace

Prepared prepare_gbm(const std::string& folder, const GbmOptions& options,
                     const Progress& progress) {
  check_folder(folder);
  const std::vector<PatientFiles> patients = find_patients(folder);
  std::vector<PreparedPatient> prepared(patients.size());
  std::vector<std::string> digests(patients.size());
  for_each_decoding(
      static_cast<int64_t>(patients.size()), options.threads,
      [&](int64_t p, ImageDecoder& decoder) {
        const bool gray = kSources[patients[p].source].gray;
        Digest digest;
        std::vector<WholeSlice> slices;
        for (const SliceFiles& files : patients[p].slices) {
          slices.push_back(read_slice(files, gray ? 1 : kChannels, decoder, digest));
          if (gray) repeat_gray(slices.back(), kChannels);
        }
        Patient patient;
        patient.id = patients[p].id;
        patient.site = site_of(patient.id);
        patient.identity = canonical_identity(patient.id);
        patient.present =
            gray ? std::vector<uint8_t>(kChannels, 0) : present_channels(slices, kChannels, kFlair);
        prepared[p] = prepare_patient(patient, std::move(slices), options.crop);
        digests[p] = digest.hex();
      },
      progress);
  Prepared out;
  leave_out_empty(prepared, out.notes);
  LabelColumn source{"source", {}, {}};
  for (const Source& one : kSources) source.classes.emplace_back(one.folder);
  int64_t repeated = 0, padded = 0, height = 0, width = 0;
  for (const PreparedPatient& one : prepared) {
    height = std::max(height, one.height);
    width = std::max(width, one.width);
  }
  for (const PreparedPatient& one : prepared) {
    const auto at = std::find_if(patients.begin(), patients.end(), [&](const PatientFiles& files) {
      return files.id == one.patient.id;
    });
    source.values.push_back(static_cast<int32_t>(at->source));
    const auto count = static_cast<int64_t>(one.slices.size());
    if (kSources[at->source].gray) repeated += count;
    if (one.height < height || one.width < width) padded += count;
  }
  out.set = join_patients(std::move(prepared), {"pre", "flair", "post"});
  out.set.name = folder;
  out.set.labels.push_back(std::move(source));
  if (repeated > 0) {
    out.notes.push_back(std::to_string(repeated) + " gray slices were repeated in all channels");
  }
  if (padded > 0) {
    out.notes.push_back(std::to_string(padded) + " slices were padded to " + std::to_string(width) +
                        "x" + std::to_string(height));
  }
  Digest digest;
  for (const std::string& one : digests) digest.add(one);
  digest.add(settings_text(options.crop));
  out.set.digest = digest.hex();
  return out;
}

}  // namespace gliograd::data
