// The public set of lower-grade gliomas (Buda et al.; Kaggle "lgg-mri-segmentation") as published:
// a folder a patient, TCGA_<site>_<id>_<date>/TCGA_..._<n>.tif with its ..._<n>_mask.tif, and a
// table.
#pragma once
#include <string>
#include <vector>

#include "data/readers/for_each.hpp"
#include "data/readers/prepare.hpp"
#include "data/readers/table_columns.hpp"

namespace gliograd::data {

struct LggOptions {
  CropOptions crop;
  std::string table;           // empty: data.csv in the folder
  bool mask_optional = false;  // an image without a mask counts as one without tumor
  ColumnChoice columns;
  int threads = 1;
};

/// A prepared set and what its maker should know.
struct Prepared {
  Dataset set;
  std::vector<std::string> notes;
};

/// Channels are pre, flair, post; one that equals FLAIR byte for byte in every slice of a patient
/// was missing and filled: Patient::present says 0. A folder's id is its name without the date. The
/// digest covers every file's bytes and the options.
/// Errors: Error in one line that names the file, for all that is not as published: a patient who
/// is not in the table or has two folders, an image without a mask, a mask without an image, other
/// sizes, depths or channels, damaged files. Noted only: patients of the table without a folder.
Prepared prepare_lgg(const std::string& folder, const LggOptions& options,
                     const Progress& progress = {});

}  // namespace gliograd::data
