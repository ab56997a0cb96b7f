// prepare gbm and prepare images.
#include <algorithm>
#include <cmath>

#include "data/fingerprint.hpp"
#include "data/readers/prepare_gbm.hpp"
#include "data/readers/prepare_images.hpp"
#include "tests/support/image_files.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace fs = std::filesystem;

namespace {

std::vector<uint8_t> textured(int height, int width, int channels, int seed) {
  std::vector<uint8_t> pixels;
  for (int i = 0; i < height * width * channels; ++i) {
    pixels.push_back(static_cast<uint8_t>(40 + (i * 31 + seed * 17) % 97));
  }
  return pixels;
}

std::vector<uint8_t> spot(int height, int width) {
  std::vector<uint8_t> mask(static_cast<size_t>(height * width), 0);
  for (int y = 2; y < 6; ++y) std::fill_n(mask.begin() + y * width + 3, 5, 255);
  return mask;
}

void write_png(const std::string& path, const std::vector<uint8_t>& pixels, int height, int width,
               int channels) {
  fs::create_directories(fs::path(path).parent_path());
  write_file(path, text_of(png_bytes(pixels, height, width, channels)));
}

/// One gray patient of 20x24 with two slices (one with tumor), one RGB patient of 16x18, T1 =
/// FLAIR.
void write_gbm(const TempDir& root) {
  const std::string gray = root / "tcga_gbm/TCGA-02-0006/TCGA-02-0006_00";
  for (int n : {0, 2}) {
    write_png(gray + std::to_string(n) + ".png", textured(20, 24, 1, n), 20, 24, 1);
    write_png(gray + std::to_string(n) + "_mask.png",
              n == 0 ? std::vector<uint8_t>(480, 0) : spot(20, 24), 20, 24, 1);
  }
  std::vector<uint8_t> rgb = textured(16, 18, 3, 5);
  for (size_t i = 0; i < rgb.size(); i += 3) rgb[i] = rgb[i + 1];
  const std::string color = root / "brats_3seq/Brats18_1/Brats18_1_007";
  write_png(color + ".png", rgb, 16, 18, 3);
  write_png(color + "_mask.png", spot(16, 18), 16, 18, 1);
  write_file(root / "tcga_gbm/index.csv", "patient,slice\n");
}

void write_photographs(const TempDir& root) {
  for (const char* name : {"ant", "bee"}) fs::create_directories(root / name);
  write_png(root / "ant/wide.png", textured(10, 15, 3, 1), 10, 15, 3);
  write_png(root / "ant/gray.png", textured(10, 10, 1, 2), 10, 10, 1);
  write_png(root / "bee/alpha.png", textured(13, 10, 4, 3), 13, 10, 4);
  write_file(root / "bee/photo.JPG", text_of(jpeg_bytes(textured(20, 20, 3, 4), 20, 20, 3)));
}

}  // namespace

TEST_CASE("prepare gbm: both folders, padded to one size, gray repeated, and it is recorded") {
  const TempDir root;
  write_gbm(root);
  const Prepared prepared = prepare_gbm(root.path().string(), {});
  const Dataset& set = prepared.set;
  check_dataset(set);
  REQUIRE(set.patient_count() == 2);
  CHECK(set.patients[0].id == "Brats18_1");
  CHECK(set.patients[0].identity == "unknown");
  CHECK(set.patients[0].present == std::vector<uint8_t>{0, 1, 1});
  CHECK(set.patients[1].identity == "TCGA-02-0006");
  CHECK(set.patients[1].site == "02");
  CHECK(set.patients[1].present == std::vector<uint8_t>{0, 0, 0});
  CHECK(label_column(set, "source").values == std::vector<int32_t>{0, 1});
  CHECK(set.slices_count == 3);
  CHECK(set.height == 20);
  CHECK(set.width == 24);
  CHECK(set.slices[0].origin == std::array<int32_t, 2>{-2, -3});
  CHECK(set.slices[1].origin == std::array<int32_t, 2>{0, 0});
  CHECK(set.slices[1].area == 0);
  CHECK(set.slices[2].area == 20);
  // The padded slice: zeros around, its own pixels inside.
  CHECK(set.image(0)[0] == 0);
  const uint8_t* corner = set.image(0) + (2 * 24 + 3) * 3;
  CHECK(corner[1] == textured(16, 18, 3, 5)[1]);
  CHECK(std::count(set.mask(0), set.mask(0) + 480, 1) == 20);
  const std::vector<uint8_t> gray = textured(20, 24, 1, 2);
  bool same = true;
  for (int i = 0; i < 480; ++i) {
    for (int c = 0; c < 3; ++c) same = same && set.image(2)[i * 3 + c] == gray[i];
  }
  CHECK(same);
  CHECK(prepared.notes == std::vector<std::string>{"2 gray slices were repeated in all channels",
                                                   "1 slices were padded to 24x20"});
  fs::remove_all(root / "brats_3seq");
  CHECK(prepare_gbm(root.path().string(), {}).set.patient_count() == 1);
}

TEST_CASE("prepare gbm: files that do not fit are refused by name") {
  const TempDir root;
  CHECK(error_of([&] { prepare_gbm(root.path().string(), {}); }) ==
        root.path().string() + ": holds neither tcga_gbm nor brats_3seq patients");
  write_gbm(root);
  const auto error = [&] { return error_of([&] { prepare_gbm(root.path().string(), {}); }); };
  const std::string slice = root / "brats_3seq/Brats18_1/Brats18_1_007";
  write_png(slice + ".png", textured(16, 18, 1, 5), 16, 18, 1);
  CHECK(error() == slice + ".png: must be 8-bit with 3 channels; it is 18x16, 1 channel, 8-bit");
  write_png(slice + ".png", textured(16, 18, 3, 5), 16, 18, 3);
  std::string text = read_file(slice + "_mask.png");
  text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 4);
  write_file(slice + "_mask.png", text);
  CHECK(error() == slice + "_mask.png: damaged: a checksum is wrong");
  fs::remove(slice + "_mask.png");
  CHECK(error() == slice + ".png: is an image without a mask");
}

TEST_CASE("prepare images: each photograph is a patient, cut to a square, colors kept") {
  const TempDir root;
  write_photographs(root);
  ImageSetOptions options;
  options.size = 10;
  const Dataset set = prepare_images(root.path().string(), options).set;
  check_dataset(set);
  REQUIRE(set.patient_count() == 4);
  CHECK(set.patients[1].id == "ant/wide");
  CHECK(set.patients[1].identity == "photograph/ant/wide");
  CHECK(label_column(set, "category").classes == std::vector<std::string>{"ant", "bee"});
  CHECK(label_column(set, "category").values == std::vector<int32_t>{0, 0, 1, 1});
  CHECK(!set.has_masks());
  const std::vector<uint8_t> wide = textured(10, 15, 3, 1), gray = textured(10, 10, 1, 2),
                             alpha = textured(13, 10, 4, 3);
  bool same = true;
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 10; ++x) {
      for (int c = 0; c < 3; ++c) {
        const int at = (y * 10 + x) * 3 + c;
        same = same && set.image(0)[at] == gray[y * 10 + x] &&
               set.image(1)[at] == wide[(y * 15 + x + 2) * 3 + c] &&
               set.image(2)[at] == alpha[((y + 1) * 10 + x) * 4 + c];
      }
    }
  }
  CHECK(same);
  CHECK(set.slices[1].origin == std::array<int32_t, 2>{0, 2});
  for (const Patient& patient : set.patients) {
    CHECK(patient.affine[0].a == set.patients[0].affine[0].a);
    CHECK(patient.affine[2].b == set.patients[0].affine[2].b);
  }
}

TEST_CASE("prepare images: a larger photograph is averaged down, not sampled") {
  const TempDir root;
  // Columns 0, 255, 0, 255: any sampling shows stripes, their mean is gray.
  std::vector<uint8_t> stripes;
  for (int i = 0; i < 64 * 64; ++i) stripes.insert(stripes.end(), 3, i % 2 == 0 ? 0 : 255);
  write_png(root / "a/x.png", stripes, 64, 64, 3);
  write_png(root / "b/y.png", stripes, 64, 64, 3);
  ImageSetOptions options;
  options.size = 16;
  const Dataset set = prepare_images(root.path().string(), options).set;
  for (int i = 0; i < 16 * 16 * 3; ++i) CHECK(std::abs(set.image(0)[i] - 128) <= 1);
}

TEST_CASE("prepare images: folders and files that do not fit are refused by name") {
  const TempDir root;
  const std::string path = root.path().string();
  const auto error = [&] { return error_of([&] { prepare_images(path, {}); }); };
  CHECK(contains(error(), path + ": needs two folders of images or more"));
  write_photographs(root);
  write_file(root / "bee/cut.jpg", read_file(root / "bee/photo.JPG").substr(0, 300));
  CHECK(error() == (root / "bee/cut.jpg") + ": damaged: it ends too early");
  write_file(root / "bee/cut.jpg", "no image");
  CHECK(error() == (root / "bee/cut.jpg") + ": is no TIFF, PNG or JPEG image");
  fs::remove(root / "bee/cut.jpg");
  write_png(root / "bee/photo.png", textured(4, 4, 3, 1), 4, 4, 3);
  CHECK(contains(error(), "another file has this name but the ending"));
  fs::remove(root / "bee/photo.png");
  fs::create_directory(root / "empty");
  CHECK(error() == (root / "empty") + ": holds no JPEG or PNG images");
}

TEST_CASE("prepare gbm, prepare images: the real sets") {
  const auto gbm = real_data("gbm", "prepare gbm: the real set");
  const auto natural = real_data("natural", "prepare images: the real set");
  if (!gbm || !natural) return;
  const Dataset set = prepare_gbm(*gbm, {.threads = 2}).set;
  CHECK(set.patient_count() == 37);
  CHECK(set.slices_count == 861);
  CHECK(std::count_if(set.slices.begin(), set.slices.end(),
                      [](const Slice& slice) { return slice.area > 0; }) == 570);
  const auto no_t1 = std::count_if(set.patients.begin(), set.patients.end(), [](const Patient& p) {
    return p.present == std::vector<uint8_t>{0, 1, 1};
  });
  CHECK(no_t1 == 5);  // BRATS2013_pat0002 to 0006
  const Dataset photographs = prepare_images(*natural, {.threads = 2}).set;
  CHECK(photographs.slices_count == 3000);
  CHECK(label_column(photographs, "category").classes.size() == 100);
}
