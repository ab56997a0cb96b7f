// A synthetic cohort: head-like slices in three sequences, with tumors whose shape and texture
// depend on a made-up subtype. It lets everything run where no patient data is, and shows that a
// planted signal is found and that a label without one is not. A pure function of its options, the
// same bits on every machine.
//
// Planted   COCCluster 2: lobed margin and coarse texture; 1 and 3: smooth margin, fine texture.
//           RNASeqCluster follows COCCluster loosely, age a little. `signal` scales it.
// Not       miRNACluster and gender are coins: no method can predict them. Brightness, contrast,
//           gamma, coil field, noise and head of each patient, the site's scanner, the tumor's
//           place, size, brightness and enhancing rim do not depend on any label.
// As found  patients without a pre- or post-contrast sequence (filled by FLAIR), blank labels and
//           ages, gaps in slice numbers, slices without tumor.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace gliograd::data {

struct PhantomOptions {
  int patients = 60;  // 6 to 9999; half of them, rounded down, have COCCluster 2
  int64_t size = 96;  // pixels a side of a whole slice, 32 to 512
  int slices = 8;     // with tumor, a patient, in the mean; 3 to 40
  double signal = 1;  // 0: labels say nothing of the images; 1: quite visible
  uint32_t seed = 1;
};

/// What is known of a made-up person before any image is drawn.
struct PhantomPerson {
  std::string id;      // TCGA_PA_P0RS, as in the public set; no real participant has such a code
  std::string folder;  // with a date behind
  std::string site;
  int coc = 0;                                 // COCCluster, 1 to 3
  int rnaseq = 0;                              // RNASeqCluster, 1 to 4, or 0 where blank
  int mirna = 0;                               // miRNACluster, 1 or 2: a coin
  int gender = 0;                              // 1 or 2: a coin
  double age_years = 0;                        // NaN where blank
  std::array<uint8_t, 3> present = {1, 1, 1};  // pre, flair, post
  std::vector<int32_t> numbers;                // of all slices, rising
  int32_t first_tumor = 0, last_tumor = 0;     // slice numbers; those between show tumor too
};

struct PhantomSlice {
  int32_t number = 0;
  std::vector<uint8_t> pixels;  // [size, size, 3]: pre, flair, post
  std::vector<uint8_t> mask;    // [size, size], 0 or 1
};

/// The cohort's people, sorted by id. Errors: Error for options out of range.
std::vector<PhantomPerson> phantom_people(const PhantomOptions& options);

/// All slices of one person, in order of number. `index` is the place in phantom_people.
std::vector<PhantomSlice> phantom_slices(const PhantomOptions& options,
                                         const std::vector<PhantomPerson>& people, size_t index);

/// The clinical table: header and one row a person, as in data.csv.
std::vector<std::vector<std::string>> phantom_table(const std::vector<PhantomPerson>& people);

/// The prepared set that `prepare lgg` makes of the cohort's files: the tumor slices, each cut to
/// window x window around its mask's centroid (0: whole slices), with zeros outside. It differs in
/// name and digest only. Errors: Error when window is negative or above 1024.
Dataset make_phantom(const PhantomOptions& options, int64_t window = 64, int threads = 1);

}  // namespace gliograd::data
