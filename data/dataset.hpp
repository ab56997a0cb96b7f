// Dataset: a prepared cohort in memory. Plain and immutable once made: readers, the phantom and the
// prepared-set file fill it; splits, sampling and training only read it, several folds at once.
// Unit of everything statistical is the patient; slices are sorted by patient, then number.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace gliograd::data {

constexpr int kFingerprintSize = 64;

/// What is known of one slice. Coordinates are pixels of the source image.
struct Slice {
  int32_t patient = 0;              // index into Dataset::patients
  int32_t number = 0;               // as in the file name
  int32_t area = 0;                 // mask pixels in the source
  std::array<int32_t, 4> box{};     // of the mask: y0, x0, y1, x1 (end exclusive); zeros if none
  std::array<int32_t, 2> origin{};  // row and column of the kept window's corner in the source
};

/// value = a * u8 + b is the robust standard score of that patient's sequence.
struct Affine {
  float a = 1;
  float b = 0;
};

struct Patient {
  std::string id;
  std::string site;                  // empty where unknown
  std::string identity = "unknown";  // canonical public id (TCGA-xx-xxxx) or "unknown"
  std::vector<uint8_t> present;  // [C] 1 where the sequence is the patient's own, 0 where filled
  std::vector<Affine> affine;    // [C]
  std::array<float, kFingerprintSize> fingerprint{};
};

struct LabelColumn {
  std::string name;
  std::vector<std::string> classes;  // sorted numerically, then as text
  std::vector<int32_t> values;       // [P] index into classes, -1 where missing
};

struct CovariateColumn {
  std::string name;
  std::vector<double> values;  // [P] NaN where missing
};

struct Dataset {
  int64_t slices_count = 0;           // N
  int64_t height = 0;                 // H
  int64_t width = 0;                  // W
  std::vector<std::string> channels;  // names, C of them
  std::vector<uint8_t> images;        // [N, H, W, C]
  std::vector<uint8_t> masks;         // [N, H, W], 0 or 1; empty where the source has none
  std::vector<Slice> slices;          // [N]
  std::vector<Patient> patients;      // [P], sorted by id
  std::vector<LabelColumn> labels;
  std::vector<CovariateColumn> covariates;
  std::vector<CovariateColumn> shape;  // computed from the full masks while preparing
  std::string digest;                  // of the source's content
  std::string name;                    // the file or folder it came from, for messages

  int64_t channel_count() const { return static_cast<int64_t>(channels.size()); }
  int64_t patient_count() const { return static_cast<int64_t>(patients.size()); }
  const uint8_t* image(int64_t n) const {
    return images.data() + n * height * width * channel_count();
  }
  const uint8_t* mask(int64_t n) const { return masks.data() + n * height * width; }
  bool has_masks() const { return !masks.empty(); }
};

/// The column, or Error that lists the names that exist.
const LabelColumn& label_column(const Dataset& set, const std::string& name);
const CovariateColumn& covariate_column(const Dataset& set, const std::string& name);
/// First slice of patient p; slices of p are [first_slice(p), first_slice(p + 1)).
int64_t first_slice(const Dataset& set, int64_t patient);
/// All that the rest of the program relies on: lengths, order, ranges, unique ids and (patient,
/// number) pairs. Errors: Error that names the set and what is wrong.
void check_dataset(const Dataset& set);

}  // namespace gliograd::data
