// Contact sheets: labeled tiles of gray values with a mask outline, written as PNG.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace gliograd::cli {

/// One picture of a sheet, as the network sees it: values [height, width].
struct SheetTile {
  std::vector<float> values;
  std::vector<uint8_t> mask;  // [height, width], outlined; empty for none
};

/// A grid of tiles of one size. Gray runs from black (and below) to white (and above); each pixel
/// is shown as 2 by 2, each tile under its own caption, each row beside its title.
struct Sheet {
  std::string title;
  int64_t height = 0, width = 0;  // of a tile
  float black = 0, white = 1;     // values shown as black and white
  std::vector<std::string> row_titles;
  std::vector<std::vector<std::string>> captions;  // [row][column], may be empty
  std::vector<std::vector<SheetTile>> rows;
};

/// Replaces the file at once. Errors: Error when the path cannot be written, WorkError when the
/// disk is full.
void write_sheet(const Sheet& sheet, const std::string& path);

/// [first, last] of the sorted values' middle: what to show as black and white.
struct GrayRange {
  float black, white;
};
/// From the 0.5th to the 99.5th percentile; never empty. Values must be finite.
GrayRange gray_range(std::vector<float> values);

}  // namespace gliograd::cli
