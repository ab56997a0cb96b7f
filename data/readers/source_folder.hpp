// What the readers of published folders share: which files make a slice, and reading one.
#pragma once
#include <string>
#include <vector>

#include "data/readers/image.hpp"
#include "data/readers/prepare.hpp"
#include "engine/core/digest.hpp"

namespace gliograd::data {

struct SliceFiles {
  int32_t number = 0;
  std::string image;
  std::string mask;  // empty where there is none
};

/// Error "FOLDER: ..." unless it is a folder that can be listed.
void check_folder(const std::string& folder);
/// Folders and files right below, sorted by name; hidden ones are left out.
std::vector<std::string> folders_in(const std::string& folder);
std::vector<std::string> files_in(const std::string& folder);

/// Pairs <name>_<n><extension> with <name>_<n>_mask<extension>, sorted by n. Files of other kinds
/// are left alone.
/// Errors: Error that names the file: one whose name has no number, a number twice, a mask without
/// an image, an image without a mask unless they are optional; a folder without any slice.
std::vector<SliceFiles> slice_files(const std::string& folder,
                                    const std::vector<std::string>& extensions, bool mask_optional);

/// Both files of a slice decoded and checked: 8 bit, `channels` channels, the mask of the same size
/// with one channel. Without a mask file the mask is empty of tumor. Their bytes go into the
/// digest.
WholeSlice read_slice(const SliceFiles& files, int64_t channels, ImageDecoder& decoder,
                      Digest& digest);
/// Turns a slice of one channel into one of several equal ones.
void repeat_gray(WholeSlice& slice, int64_t channels);

/// "crop=window size=128 ...": what a digest and the file's attributes say.
std::string settings_text(const CropOptions& options);

}  // namespace gliograd::data
