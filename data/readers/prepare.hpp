// From whole slices to a prepared set, the same for every source: a reader hands over one patient's
// slices at a time (so that no more than one patient a thread is ever whole in memory), and joins
// what comes back.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.hpp"
#include "data/readers/image.hpp"

namespace gliograd::data {

enum class Crop {
  window,  // size x size around the mask's centroid, at native scale; zeros outside the image
  box,     // the mask's bounding box, made square and wider by the margin, scaled to size x size
  none     // whole slices
};
/// "window"; Error for another word.
const char* name_of(Crop crop);
Crop crop_of(const std::string& name);

struct CropOptions {
  Crop crop = Crop::window;
  int64_t size = 128;   // pixels a side of what is kept; without meaning for Crop::none
  double margin = 0.1;  // for box: on each side, as a share of the box's longer side
  // Only slices whose mask is not empty. Otherwise window and box cut a slice without tumor where
  // the patient's nearest slice with tumor is cut, so that the place does not tell the two apart.
  bool tumor_only = true;
};

/// One slice of the source, 8 bit.
struct WholeSlice {
  int32_t number = 0;
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint8_t> pixels;  // [height, width, channels]
  std::vector<uint8_t> mask;    // [height, width] 0 or 1; empty where there is none
};

/// One patient, cut out and measured.
struct PreparedPatient {
  Patient patient;  // id, site and identity as given; present, affine and fingerprint computed
  std::vector<Slice> slices;  // Slice::patient is left 0
  int64_t height = 0, width = 0;
  std::vector<uint8_t> images;  // [slices, height, width, channels]
  std::vector<uint8_t> masks;   // [slices, height, width]; empty where there are none
  std::vector<std::pair<std::string, double>> shape;  // of the full masks
};

/// Sorts the slices by number and keeps those that the options ask for. Scale and fingerprint come
/// from the whole kept slices, shape from all masks. `present` must hold a flag for each channel.
/// Nothing kept (no slice with tumor): no slices come back, and the caller leaves the patient out.
/// Errors: Error that names the patient: a number twice, slices of several sizes, a window without
/// masks.
PreparedPatient prepare_patient(const Patient& patient, std::vector<WholeSlice> slices,
                                const CropOptions& options);

/// Removes patients of whom nothing was kept, and says so in a note. Errors: Error when none is
/// left.
void leave_out_empty(std::vector<PreparedPatient>& patients, std::vector<std::string>& notes);

/// Joins patients into one set, sorted by id. Smaller slices are padded with zeros to the largest
/// height and width, centered, and their origin says so. Labels, covariates and names are the
/// caller's to add.
/// Errors: Error when two patients have one id, or when one has masks and another has none.
Dataset join_patients(std::vector<PreparedPatient> patients, std::vector<std::string> channels);

/// The square whose corner is (row, column), `side` pixels wide, scaled to size x size: image
/// [size, size, channels], mask (may be null) [size, size]. Bilinear, zeros outside the slice, the
/// mask nearest; where it shrinks, several samples a pixel are averaged, so that nothing is
/// skipped.
void scale_square(const WholeSlice& slice, int64_t channels, double row, double column, double side,
                  int64_t size, uint8_t* image, uint8_t* mask);

/// 0 for each channel that equals channel `reference` byte for byte in all slices: it was missing
/// and filled; else 1.
std::vector<uint8_t> present_channels(const std::vector<WholeSlice>& slices, int64_t channels,
                                      int64_t reference);

/// The two letters after TCGA of an id with a canonical identity (leak_guard.hpp); else empty.
std::string site_of(const std::string& id);

}  // namespace gliograd::data
