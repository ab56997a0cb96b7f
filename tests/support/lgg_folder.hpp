// A tiny cohort in the layout of the public lower-grade glioma set, for readers and commands.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/support.hpp"

namespace gliograd::test {

/// Slices of 40x48 pixels: gray background 3, a head of 60 with texture, an elliptic tumor.
class LggFolder {
 public:
  /// Patients TCGA_CS_0000, TCGA_DU_0001, ... with slices 3, 4, ... `slices` of them, and data.csv
  /// with COCCluster 1, 2 in turn and an age. Slice `blank` (if any) has no tumor.
  LggFolder(int patients, int slices, int blank = -1);

  const TempDir& root() const { return root_; }
  std::string path() const { return root_.path().string(); }
  /// "TCGA_CS_0000"
  static std::string id(int patient);
  std::string folder(int patient) const;
  std::string image(int patient, int number) const;
  std::string mask(int patient, int number) const;
  /// Pixels [40, 48, 3] and mask [40, 48] (0 or 255) that were written.
  static std::vector<uint8_t> pixels(int patient, int number);
  static std::vector<uint8_t> mask_pixels(int patient, int number);

  static constexpr int kHeight = 40, kWidth = 48;

 private:
  TempDir root_;
};

}  // namespace gliograd::test
