#include "tests/support/lgg_folder.hpp"

#include "data/readers/tiff_writer.hpp"

namespace gliograd::test {
namespace {

bool in_ellipse(int y, int x, double cy, double cx, double ry, double rx) {
  const double dy = (y - cy) / ry, dx = (x - cx) / rx;
  return dy * dy + dx * dx <= 1;
}

}  // namespace

std::string LggFolder::id(int patient) {
  return std::string("TCGA_") + (patient == 0 ? "CS" : "DU") + "_" +
         std::to_string(10000 + patient).substr(1);
}

std::string LggFolder::folder(int patient) const { return root_ / (id(patient) + "_19990101"); }

std::string LggFolder::image(int patient, int number) const {
  return folder(patient) + "/" + id(patient) + "_19990101_" + std::to_string(number) + ".tif";
}

std::string LggFolder::mask(int patient, int number) const {
  return folder(patient) + "/" + id(patient) + "_19990101_" + std::to_string(number) + "_mask.tif";
}

std::vector<uint8_t> LggFolder::pixels(int patient, int number) {
  std::vector<uint8_t> out;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 0; c < 3; ++c) {
        const bool head = in_ellipse(y, x, 20, 24, 17, 20);
        const int texture = (y * 7 + x * 13 + number * 3 + patient * 5 + c * 11) % 9;
        out.push_back(static_cast<uint8_t>(head ? 60 + 10 * c + texture : 3));
      }
    }
  }
  return out;
}

std::vector<uint8_t> LggFolder::mask_pixels(int patient, int number) {
  std::vector<uint8_t> out;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      const bool tumor = in_ellipse(y, x, 12 + patient % 5, 30 - patient % 7, 4 + number % 3, 6);
      out.push_back(tumor ? 255 : 0);
    }
  }
  return out;
}

LggFolder::LggFolder(int patients, int slices, int blank) {
  std::string table = "Patient,COCCluster,gender,age_at_initial_pathologic\n";
  for (int p = 0; p < patients; ++p) {
    std::filesystem::create_directory(folder(p));
    for (int number = 3; number < 3 + slices; ++number) {
      data::write_tiff(image(p, number), pixels(p, number).data(), kHeight, kWidth, 3);
      std::vector<uint8_t> mask_values = mask_pixels(p, number);
      if (number == blank) mask_values.assign(mask_values.size(), 0);
      data::write_tiff(mask(p, number), mask_values.data(), kHeight, kWidth, 1);
    }
    table += id(p) + "," + std::to_string(1 + p % 2) + ",," + std::to_string(40 + p) + "\n";
  }
  write_file(root_ / "data.csv", table);
}

}  // namespace gliograd::test
