// What the shape features and the fingerprint do on real pictures (GLIOGRAD_DATA).
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <map>

#include "data/fingerprint.hpp"
#include "data/readers/csv.hpp"
#include "data/readers/image.hpp"
#include "data/readers/source_folder.hpp"
#include "data/shape_features.hpp"
#include "engine/core/atomic_file.hpp"
#include "tests/data/changed_slices.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

/// All slices of a patient's folder, decoded in this process; of `tumor_only`, those with tumor.
PatientSlices read_patient(const std::string& folder, bool tumor_only) {
  PatientSlices patient;
  for (const SliceFiles& files : slice_files(folder, {".tif", ".png"}, false)) {
    const Image mask = decode_image(read_bytes(files.mask));
    const bool tumor =
        std::any_of(mask.bytes.begin(), mask.bytes.end(), [](uint8_t v) { return v > 0; });
    if (tumor_only && !tumor) continue;
    const Image image = decode_image(read_bytes(files.image));
    patient.height = image.height, patient.width = image.width, patient.channels = image.channels;
    patient.images.push_back(image.bytes);
    patient.masks.push_back(mask.bytes);
  }
  return patient;
}

/// A volume of float32 in a gzipped NIfTI file whose axes are known to be 240 x 240 x 155.
std::vector<float> read_volume(const std::string& path) {
  std::vector<float> values(240 * 240 * 155);
  std::vector<char> bytes(352 + values.size() * 4);
  gzFile file = gzopen(path.c_str(), "rb");
  REQUIRE(file != nullptr);
  CHECK(gzread(file, bytes.data(), static_cast<unsigned>(bytes.size())) ==
        static_cast<int>(bytes.size()));
  gzclose(file);
  std::memcpy(values.data(), bytes.data() + 352, values.size() * 4);
  return values;
}

/// Brain (what differs from the corner) between its 0.5 and 99.5 percentile to 1 ... 255.
std::vector<uint8_t> to_bytes(const std::vector<float>& volume) {
  std::vector<float> brain;
  for (const float v : volume) {
    if (v != volume[0]) brain.push_back(v);
  }
  std::sort(brain.begin(), brain.end());
  const float low = brain[brain.size() / 200], high = brain[brain.size() - 1 - brain.size() / 200];
  std::vector<uint8_t> bytes;
  for (const float v : volume) {
    const float t = std::clamp((v - low) / (high - low), 0.0F, 1.0F);
    bytes.push_back(v == volume[0] ? 0 : static_cast<uint8_t>(std::lround(1 + 254 * t)));
  }
  return bytes;
}

double auc(const std::vector<double>& positive, const std::vector<double>& negative) {
  double wins = 0;
  for (const double a : positive) {
    for (const double b : negative) wins += a > b ? 1 : a == b ? 0.5 : 0;
  }
  return wins / static_cast<double>(positive.size() * negative.size());
}

}  // namespace

TEST_CASE("real set: 1/BEVR reaches 0.810 for COC 2 and 0.786 for RNASeq 2") {
  const auto root = real_data("lgg", "1/BEVR on the real masks");
  if (!root) return;
  const CsvTable table = read_csv(*root + "/data.csv");
  std::map<std::string, std::vector<double>> positive, negative;
  for (const std::string& folder : folders_in(*root)) {
    MaskStack masks{0, 256, 256, {}, {}};
    for (const SliceFiles& files : slice_files(folder, {".tif"}, false)) {
      const Image mask = decode_image(read_bytes(files.mask));
      masks.voxels.insert(masks.voxels.end(), mask.bytes.begin(), mask.bytes.end());
      masks.numbers.push_back(files.number);
      ++masks.depth;
    }
    const double ratio = shape_features(masks)[1].second;
    const std::string id = std::filesystem::path(folder).filename().string().substr(0, 12);
    for (const auto& row : table.rows) {
      if (row[table.column("Patient")] != id) continue;
      for (const char* name : {"COCCluster", "RNASeqCluster"}) {
        const std::string& label = row[table.column(name)];
        if (!label.empty()) (label == "2" ? positive : negative)[name].push_back(ratio);
      }
    }
  }
  CHECK(positive["COCCluster"].size() == 24);
  CHECK(negative["COCCluster"].size() == 86);
  CHECK(std::fabs(auc(positive["COCCluster"], negative["COCCluster"]) - 0.810) < 0.005);
  CHECK(positive["RNASeqCluster"].size() == 28);
  CHECK(std::fabs(auc(positive["RNASeqCluster"], negative["RNASeqCluster"]) - 0.786) < 0.005);
}

TEST_CASE("real set: 110 patients raise no alarm, and one changed in every way does") {
  const auto root = real_data("lgg", "fingerprints of the real patients");
  if (!root) return;
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  std::vector<Fingerprint> prints;
  float most_alike = -1, least_kept = 1;
  for (const std::string& folder : folders_in(*root)) {
    const PatientSlices patient = read_patient(folder, true);
    prints.push_back(patient.fingerprint());
    for (size_t j = 0; j + 1 < prints.size(); ++j) {
      most_alike = std::max(most_alike, fingerprint_similarity(prints.back(), prints[j]));
    }
    if (prints.size() % 5 != 1) continue;
    const Fingerprint other = changed(patient, 30, random).fingerprint();
    least_kept = std::min(least_kept, fingerprint_similarity(prints.back(), other));
  }
  CHECK(prints.size() == 110);
  MESSAGE("two patients at most ", most_alike, ", one changed at least ", least_kept);
  CHECK(most_alike < kFingerprintAlike - 0.02F);
  CHECK(least_kept > kFingerprintAlike + 0.01F);
}

TEST_CASE("real set: the BraTS patient is known again in NIfTI, and is not like the others") {
  const auto slices = real_data("gbm/brats_3seq", "fingerprint of the BraTS patient");
  const auto nifti = real_data("nifti/brats_2013_pat0006_1", "fingerprint of the BraTS patient");
  if (!slices || !nifti) return;
  const std::string stem = *nifti + "/brats_2013_pat0006_1_";
  const std::vector<uint8_t> flair = to_bytes(read_volume(stem + "flair.nii.gz"));
  const std::vector<uint8_t> post = to_bytes(read_volume(stem + "t1ce.nii.gz"));
  const std::vector<float> labels = read_volume(stem + "seg.nii.gz");
  PatientSlices volume{240, 240, 3, {}, {}};
  for (int64_t z = 0; z < 155; ++z) {
    std::vector<uint8_t> image, mask;
    for (int64_t i = z * 240 * 240; i < (z + 1) * 240 * 240; ++i) {
      image.insert(image.end(), {flair[i], flair[i], post[i]});  // pre is missing
      mask.push_back(labels[i] > 0);
    }
    if (std::count(mask.begin(), mask.end(), 1) == 0) continue;
    volume.images.push_back(image);
    volume.masks.push_back(mask);
  }
  CHECK(volume.images.size() == 84);
  const Fingerprint print = volume.fingerprint();
  for (const std::string& folder : folders_in(*slices)) {
    const float alike = fingerprint_similarity(print, read_patient(folder, true).fingerprint());
    CAPTURE(folder);
    if (contains(folder, "pat0006")) {
      CHECK(alike > kFingerprintAlike + 0.01F);
    } else {
      CHECK(alike < kFingerprintAlike - 0.2F);
    }
  }
}
