#include "data/readers/prepare_lgg.hpp"

#include <algorithm>
#include <cmath>

#include "data/readers/tiff_writer.hpp"
#include "data/shape_features.hpp"
#include "tests/support/image_files.hpp"
#include "tests/support/lgg_folder.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace fs = std::filesystem;

namespace {

constexpr int kHeight = LggFolder::kHeight, kWidth = LggFolder::kWidth;

Prepared prepare(const LggFolder& folder, int64_t size = 16, int threads = 2) {
  LggOptions options;
  options.crop.size = size;
  options.threads = threads;
  return prepare_lgg(folder.path(), options);
}

std::string prepare_error(const LggFolder& folder) {
  std::string text = error_of([&] { prepare(folder); });
  CHECK(!contains(text, "\n"));
  return text;
}

}  // namespace

TEST_CASE("prepare lgg: windows, boxes, labels, sites and order are as the design says") {
  const LggFolder folder(3, 4, 5);
  const Prepared prepared = prepare(folder);
  const Dataset& set = prepared.set;
  check_dataset(set);
  CHECK(prepared.notes.empty());
  CHECK(set.slices_count == 9);  // 4 slices each, one without tumor
  CHECK(set.height == 16);
  CHECK(set.channels == std::vector<std::string>{"pre", "flair", "post"});
  REQUIRE(set.patient_count() == 3);
  CHECK(set.patients[1].id == "TCGA_DU_0001");
  CHECK(set.patients[1].site == "DU");
  CHECK(set.patients[1].identity == "TCGA-DU-0001");
  CHECK(set.patients[1].present == std::vector<uint8_t>{1, 1, 1});
  CHECK(label_column(set, "COCCluster").classes == std::vector<std::string>{"1", "2"});
  CHECK(label_column(set, "COCCluster").values == std::vector<int32_t>{0, 1, 0});
  CHECK(label_column(set, "gender").values == std::vector<int32_t>{-1, -1, -1});
  CHECK(covariate_column(set, "age_at_initial_pathologic").values ==
        std::vector<double>{40, 41, 42});
  for (int64_t n = 0; n < set.slices_count; ++n) {
    const Slice& slice = set.slices[n];
    const int p = slice.patient, number = slice.number;
    INFO("patient ", p, " slice ", number);
    CHECK(number != 5);
    const std::vector<uint8_t> pixels = LggFolder::pixels(p, number);
    const std::vector<uint8_t> mask = LggFolder::mask_pixels(p, number);
    int64_t area = 0, rows = 0, columns = 0;
    std::array<int32_t, 4> box = {kHeight, kWidth, 0, 0};
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        if (mask[y * kWidth + x] == 0) continue;
        ++area;
        rows += y;
        columns += x;
        box = {std::min(box[0], y), std::min(box[1], x), std::max(box[2], y + 1),
               std::max(box[3], x + 1)};
      }
    }
    CHECK(slice.area == area);
    CHECK(slice.box == box);
    const auto mean = [&](int64_t sum) {
      return static_cast<int>(std::nearbyint(static_cast<double>(sum) / static_cast<double>(area)));
    };
    REQUIRE(slice.origin[0] == mean(rows) - 8);
    REQUIRE(slice.origin[1] == mean(columns) - 8);
    bool same = true;
    for (int y = 0; y < 16; ++y) {
      for (int x = 0; x < 16; ++x) {
        const int sy = y + slice.origin[0], sx = x + slice.origin[1];
        const bool inside = sy >= 0 && sx >= 0 && sy < kHeight && sx < kWidth;
        const int at = sy * kWidth + sx;
        same = same && set.mask(n)[y * 16 + x] == (inside && mask[at] != 0 ? 1 : 0);
        for (int c = 0; c < 3; ++c) {
          same = same && set.image(n)[(y * 16 + x) * 3 + c] == (inside ? pixels[at * 3 + c] : 0);
        }
      }
    }
    CHECK(same);
  }
}

TEST_CASE("prepare lgg: a window larger than the image is filled with zeros") {
  const LggFolder folder(1, 1);
  const Dataset set = prepare(folder, 128).set;
  const Slice& slice = set.slices[0];
  CHECK(slice.origin[0] < 0);
  const int64_t inside =
      std::count_if(set.images.begin(), set.images.end(), [](uint8_t v) { return v != 0; });
  CHECK(inside == kHeight * kWidth * 3);
  CHECK(std::count(set.masks.begin(), set.masks.end(), 1) == slice.area);
}

TEST_CASE("prepare lgg: shape comes from the full masks, whatever the window") {
  const LggFolder folder(1, 4, 5);
  MaskStack stack{4, kHeight, kWidth, {3, 4, 5, 6}, {}};
  for (const int number : stack.numbers) {
    std::vector<uint8_t> mask = LggFolder::mask_pixels(0, number);
    if (number == 5) mask.assign(mask.size(), 0);
    stack.voxels.insert(stack.voxels.end(), mask.begin(), mask.end());
  }
  const auto expected = shape_features(stack);
  const Dataset set = prepare(folder, 8).set;
  REQUIRE(set.shape.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(set.shape[i].name == expected[i].first);
    CHECK(set.shape[i].values[0] == expected[i].second);
  }
}

TEST_CASE("prepare lgg: a box holds the whole tumor, scaled, with its margin") {
  const LggFolder folder(2, 2);
  LggOptions options;
  options.crop = {.crop = Crop::box, .size = 32, .margin = 0.25};
  const Dataset set = prepare_lgg(folder.path(), options).set;
  CHECK(set.height == 32);
  for (int64_t n = 0; n < set.slices_count; ++n) {
    const Slice& slice = set.slices[n];
    const int high = slice.box[2] - slice.box[0], wide = slice.box[3] - slice.box[1];
    const double side = 1.5 * std::max(high, wide), scale = 32 / side;
    const auto count = std::count(set.mask(n), set.mask(n) + 32 * 32, 1);
    CHECK(static_cast<double>(count) == doctest::Approx(slice.area * scale * scale).epsilon(0.1));
    CHECK(set.mask(n)[0] == 0);
    // The middle of the box, in the source and in what was made of it.
    const int sy = slice.box[0] + high / 2, sx = slice.box[1] + wide / 2;
    const std::vector<uint8_t> pixels = LggFolder::pixels(slice.patient, slice.number);
    CHECK(std::abs(set.image(n)[(16 * 32 + 16) * 3] - pixels[(sy * kWidth + sx) * 3]) < 10);
  }
}

TEST_CASE("prepare lgg: whole slices, all of them") {
  const LggFolder folder(2, 3, 4);
  LggOptions options;
  options.crop = {.crop = Crop::none, .tumor_only = false};
  const Dataset set = prepare_lgg(folder.path(), options).set;
  CHECK(set.slices_count == 6);
  CHECK(set.height == kHeight);
  CHECK(set.width == kWidth);
  CHECK(set.slices[1].area == 0);
  CHECK(set.slices[1].box == std::array<int32_t, 4>{});
  CHECK(std::equal(set.image(2), set.image(3), LggFolder::pixels(0, 5).data()));
}

TEST_CASE("prepare lgg: of all slices, one without tumor is cut where the nearest one with is") {
  const LggFolder folder(2, 3, 4);
  LggOptions options;
  options.crop = {.crop = Crop::window, .size = 16, .tumor_only = false};
  const std::vector<uint8_t> elsewhere = LggFolder::mask_pixels(1, 5);
  write_tiff(folder.mask(0, 5), elsewhere.data(), kHeight, kWidth, 1);
  const Dataset set = prepare_lgg(folder.path(), options).set;
  CHECK(set.slices_count == 6);
  const Slice &before = set.slices[0], &blank = set.slices[1], &after = set.slices[2];
  CHECK(blank.number == 4);
  CHECK(blank.area == 0);
  CHECK(blank.box == std::array<int32_t, 4>{});
  CHECK(before.origin != after.origin);
  CHECK(blank.origin == before.origin);  // slices 3 and 5 are equally near: the lower one
  CHECK(std::count(set.mask(1), set.mask(1) + 16 * 16, 0) == 16 * 16);
  const std::vector<uint8_t> pixels = LggFolder::pixels(0, 4);
  const auto [row, column] = blank.origin;
  for (int y = 0; y < 16; ++y) {
    const auto first = pixels.begin() + ((row + y) * kWidth + column) * 3;
    CHECK(std::equal(first, first + 16 * 3, set.image(1) + y * 16 * 3));
  }
  // Without any tumor there is no place to cut: the patient is left out, and it is said.
  for (const int number : {3, 5}) {
    const std::vector<uint8_t> none(kHeight * kWidth, 0);
    write_tiff(folder.mask(0, number), none.data(), kHeight, kWidth, 1);
  }
  const Prepared prepared = prepare_lgg(folder.path(), options);
  CHECK(prepared.set.patient_count() == 1);
  CHECK(prepared.notes.size() == 1);
}

TEST_CASE("prepare lgg: the same set for any number of threads, another digest for another input" *
          doctest::test_suite("threads")) {
  const LggFolder folder(4, 2);
  const Dataset one = prepare(folder, 16, 1).set, four = prepare(folder, 16, 4).set;
  CHECK(one.images == four.images);
  CHECK(one.digest == four.digest);
  CHECK(prepare(folder, 18).set.digest != one.digest);
  std::vector<uint8_t> pixels = LggFolder::pixels(0, 3);
  pixels[0] ^= 1;  // far from the window
  write_tiff(folder.image(0, 3), pixels.data(), kHeight, kWidth, 3);
  CHECK(prepare(folder).set.digest != one.digest);
}

TEST_CASE("prepare lgg: a sequence that equals FLAIR in every slice is marked as filled") {
  const LggFolder folder(2, 2);
  for (const int number : {3, 4}) {
    std::vector<uint8_t> pixels = LggFolder::pixels(0, number);
    for (size_t i = 0; i < pixels.size(); i += 3) {
      pixels[i + 2] = pixels[i + 1];               // post in both slices
      if (number == 3) pixels[i] = pixels[i + 1];  // pre in one alone
    }
    write_tiff(folder.image(0, number), pixels.data(), kHeight, kWidth, 3);
  }
  const Dataset set = prepare(folder).set;
  CHECK(set.patients[0].present == std::vector<uint8_t>{1, 1, 0});
  CHECK(set.patients[1].present == std::vector<uint8_t>{1, 1, 1});
}

TEST_CASE(
    "prepare lgg: the table's other spelling, the archive's folder and extra files are taken") {
  const LggFolder folder(2, 1);
  const Dataset plain = prepare(folder).set;
  write_file(folder.root() / "data.csv",
             "\xef\xbb\xbfPatient;COCCluster;gender;age_at_initial_pathologic\r\n"
             "TCGA_CS_0000;1;;40\r\n\"TCGA_DU_0001\";2;NA;41\r\nTCGA_HT_0009;2;;50\r\n");
  write_file(folder.root() / "README.md", "x");
  write_file(folder.folder(0) + "/Thumbs.db", "x");
  fs::create_directory(folder.root() / ".hidden");
  fs::create_directory(folder.root() / "kaggle_3m");
  for (const std::string& name :
       {std::string("data.csv"), LggFolder::id(0) + "_19990101", LggFolder::id(1) + "_19990101"}) {
    fs::rename(folder.root() / name, folder.root() / ("kaggle_3m/" + name));
  }
  const Prepared prepared = prepare(folder);
  CHECK(prepared.set.images == plain.images);
  CHECK(label_column(prepared.set, "COCCluster").values == std::vector<int32_t>{0, 1});
  REQUIRE(prepared.notes.size() == 1);
  CHECK(prepared.notes[0] == "1 patients of the table have no folder: TCGA_HT_0009");
}

TEST_CASE("prepare lgg: a patient without tumor is left out, and that is said") {
  const LggFolder folder(2, 1);
  const std::vector<uint8_t> nothing(kHeight * kWidth, 0);
  write_tiff(folder.mask(0, 3), nothing.data(), kHeight, kWidth, 1);
  const Prepared prepared = prepare(folder);
  CHECK(prepared.set.patient_count() == 1);
  REQUIRE(prepared.notes.size() == 1);
  CHECK(prepared.notes[0] == "1 patients have no slice with tumor: TCGA_CS_0000");
  write_tiff(folder.mask(1, 3), nothing.data(), kHeight, kWidth, 1);
  CHECK(contains(prepare_error(folder), "no slice of any patient has a tumor"));
}

TEST_CASE("prepare lgg: a mask has one value beside 0, whichever") {
  const LggFolder folder(2, 2);
  std::vector<uint8_t> mask = LggFolder::mask_pixels(0, 3);
  for (uint8_t& pixel : mask) pixel = pixel != 0 ? 7 : 0;
  write_tiff(folder.mask(0, 3), mask.data(), kHeight, kWidth, 1);
  CHECK_NOTHROW(prepare(folder));
  mask[0] = 3;  // as a lossy codec leaves them
  mask[1] = 9;
  write_tiff(folder.mask(0, 3), mask.data(), kHeight, kWidth, 1);
  CHECK(prepare_error(folder) ==
        folder.mask(0, 3) + ": a mask must hold 0 and one other value; it holds 3 and 9");
  fs::remove(folder.mask(0, 3));
  fs::create_symlink(folder.mask(0, 3), folder.mask(0, 3));
  CHECK(prepare_error(folder) == folder.mask(0, 3) + ": Too many levels of symbolic links");
}

TEST_CASE("prepare lgg: a mask may be missing only where that is allowed") {
  const LggFolder folder(2, 2);
  fs::remove(folder.mask(0, 3));
  CHECK(prepare_error(folder) == folder.image(0, 3) + ": is an image without a mask");
  LggOptions options;
  options.mask_optional = true;
  CHECK(prepare_lgg(folder.path(), options).set.slices_count == 3);
}

TEST_CASE("prepare lgg: files that do not fit are refused by name") {
  const auto after = [](const auto& change) {
    const LggFolder folder(2, 2);
    change(folder);
    std::string text = prepare_error(folder);
    for (size_t at; (at = text.find(folder.path())) != std::string::npos;) {
      text.replace(at, folder.path().size(), "ROOT");
    }
    return text;
  };
  const std::string first = "ROOT/TCGA_CS_0000_19990101/TCGA_CS_0000_19990101_3";
  CHECK(after([](const LggFolder& f) { fs::remove(f.image(0, 3)); }) ==
        first + "_mask.tif: is a mask without an image");
  CHECK(after([](const LggFolder& f) {
          write_tiff(f.mask(0, 3), LggFolder::mask_pixels(0, 3).data(), kHeight, kWidth - 1, 1);
        }) == first + "_mask.tif: has 47x40 pixels, its image 48x40");
  CHECK(after([](const LggFolder& f) {
          write_tiff(f.image(0, 3), LggFolder::pixels(0, 3).data(), kHeight, kWidth, 1);
        }) == first + ".tif: must be 8-bit with 3 channels; it is 48x40, 1 channel, 8-bit");
  CHECK(after([](const LggFolder& f) {
          write_tiff(f.mask(0, 3), LggFolder::pixels(0, 3).data(), kHeight, kWidth, 3);
        }) ==
        first + "_mask.tif: a mask must be 8-bit with 1 channel; it is 48x40, 3 channels, 8-bit");
  CHECK(after([](const LggFolder& f) {
          write_file(f.image(0, 3), text_of(tiff_bytes(std::vector<uint8_t>(kHeight * kWidth * 6),
                                                       {.height = kHeight,
                                                        .width = kWidth,
                                                        .channels = 3,
                                                        .bits = 16,
                                                        .photometric = 2})));
        }) == first + ".tif: must be 8-bit with 3 channels; it is 48x40, 3 channels, 16-bit");
  CHECK(after([](const LggFolder& f) {
          write_tiff(f.image(0, 3), LggFolder::pixels(0, 3).data(), kHeight - 2, kWidth, 3);
          write_tiff(f.mask(0, 3), LggFolder::mask_pixels(0, 3).data(), kHeight - 2, kWidth, 1);
        }) == "patient TCGA_CS_0000: slices of several sizes, 48x38 (slice 3) and 48x40 (slice 4)");
  CHECK(after([](const LggFolder& f) { write_file(f.image(0, 3), ""); }) ==
        first + ".tif: is empty");
  CHECK(after([](const LggFolder& f) {
          write_file(f.image(0, 3), read_file(f.image(0, 3)).substr(0, 99));
        }).rfind(first + ".tif: damaged", 0) == 0);
  CHECK(after([](const LggFolder& f) {
          fs::remove(f.image(0, 3));
          fs::create_directory(f.image(0, 3));
        }) == first + "_mask.tif: is a mask without an image");
  CHECK(after([](const LggFolder& f) { fs::copy(f.image(0, 3), f.folder(0) + "/x_03.tif"); }) ==
        "ROOT/TCGA_CS_0000_19990101/x_03.tif: slice 3 is there twice, also as " + first + ".tif");
  CHECK(after([](const LggFolder& f) { fs::copy(f.image(0, 3), f.folder(0) + "/whole.tif"); }) ==
        "ROOT/TCGA_CS_0000_19990101/whole.tif: its name does not end in _<slice number>.tif");
}

TEST_CASE("prepare lgg: folders and tables that do not fit are refused by name") {
  const LggFolder folder(2, 1);
  const std::string root = folder.path();
  CHECK(error_of([&] { prepare_lgg(root + "/none", {}); }) ==
        root + "/none: No such file or directory");
  CHECK(error_of([&] { prepare_lgg(root + "/data.csv", {}); }) ==
        root + "/data.csv: is a file; a folder is needed");
  const auto with_table = [&](const std::string& text) {
    write_file(root + "/data.csv", text);
    return prepare_error(folder);
  };
  CHECK(with_table("Patient,a\nTCGA_CS_0000,1\n") ==
        folder.folder(1) + ": patient TCGA_DU_0001 is not in the table " + root + "/data.csv");
  CHECK(with_table("Patient,a\nTCGA_CS_0000,1\nTCGA_DU_0001,2\nTCGA_CS_0000,1\n") ==
        root + "/data.csv: line 4: patient TCGA_CS_0000 is there twice, first in line 2");
  CHECK(with_table("Patient,a\nTCGA_CS_0000,1\n,2\n") ==
        root + "/data.csv: line 3 names no patient");
  CHECK(with_table("Patient,a\nTCGA_CS_0000\n") ==
        root + "/data.csv: line 2 has 1 fields, the header 2");
  fs::remove(root + "/data.csv");
  CHECK(prepare_error(folder) == root + "/data.csv: No such file or directory");
  write_file(root + "/data.csv", "Patient,a\nTCGA_CS_0000,1\nTCGA_DU_0001,2\n");
  fs::create_directory(root + "/TCGA_CS_0000_20000101");
  CHECK(prepare_error(folder) == root + "/TCGA_CS_0000_20000101: holds no slices");
  fs::copy(folder.folder(0), root + "/TCGA_CS_0000_20000101", fs::copy_options::recursive);
  CHECK(contains(prepare_error(folder), "patient TCGA_CS_0000 has another folder"));
}

TEST_CASE("prepare lgg: several damaged files are counted") {
  const LggFolder folder(4, 1);
  for (const int p : {1, 2, 3}) write_file(folder.image(p, 3), "x");
  CHECK(prepare_error(folder) ==
        folder.image(1, 3) + ": is no TIFF, PNG or JPEG image (and 2 more with errors)");
}

TEST_CASE("prepare lgg: which columns are labels and which are covariates") {
  Dataset set;
  std::string text = "Patient,grade,Days to death,stage,measure\n";
  for (int p = 0; p < 12; ++p) {
    set.patients.emplace_back();
    set.patients.back().id = "P" + std::to_string(10 + p);
    text += set.patients.back().id + "," + std::to_string(2 + p % 2) + ",7," +
            (p == 3 ? "II" : std::to_string(p)) + "," + std::to_string(p * 0.5) + "\n";
  }
  const CsvTable table = parse_csv("t.csv", text);
  add_columns(set, table, {});
  REQUIRE(set.labels.size() == 2);
  CHECK(set.labels[0].name == "grade");
  CHECK(set.labels[1].name == "stage");
  CHECK(set.labels[1].classes.front() == "0");
  CHECK(set.labels[1].classes.back() == "II");
  REQUIRE(set.covariates.size() == 2);
  CHECK(set.covariates[0].name == "Days to death");
  CHECK(set.covariates[1].values[11] == 5.5);
  Dataset forced = set;
  forced.labels.clear();
  forced.covariates.clear();
  add_columns(forced, table, {{"measure"}, {"grade"}});
  CHECK(forced.labels[1].name == "measure");
  CHECK(forced.covariates[0].name == "grade");
  CHECK(error_of([&] {
          add_columns(forced, table, {{}, {"stage"}});
        }) == "t.csv: line 5: column stage shall hold numbers; found \"II\"");
  CHECK(contains(error_of([&] {
                   add_columns(forced, table, {{"none"}, {}});
                 }),
                 "has no column \"none\"; there are: Patient, grade"));
}

TEST_CASE("prepare lgg: the real set") {
  const auto folder = real_data("lgg", "prepare lgg: the real set");
  if (!folder) return;
  LggOptions options;
  options.threads = 2;
  const Dataset set = prepare_lgg(*folder, options).set;
  CHECK(set.patient_count() == 110);
  CHECK(set.slices_count == 1373);
  const LabelColumn& coc = label_column(set, "COCCluster");
  for (const auto& [name, count] : {std::pair{"1", 56}, {"2", 24}, {"3", 30}}) {
    const auto k = std::find(coc.classes.begin(), coc.classes.end(), name) - coc.classes.begin();
    CHECK(std::count(coc.values.begin(), coc.values.end(), static_cast<int32_t>(k)) == count);
  }
  const auto filled = [&](int channel) {
    return std::count_if(set.patients.begin(), set.patients.end(),
                         [&](const Patient& patient) { return patient.present[channel] == 0; });
  };
  CHECK(filled(0) == 6);
  CHECK(filled(1) == 0);
  CHECK(filled(2) == 10);
  // The scale must neither drown in background nor stretch a dark sequence without end: tumors lie
  // within a few standard scores in every patient and sequence, raised background or not.
  for (int64_t p = 0; p < set.patient_count(); ++p) {
    for (int c = 0; c < 3; ++c) {
      const Affine& affine = set.patients[p].affine[c];
      double sum = 0;
      int64_t count = 0;
      for (int64_t n = first_slice(set, p); n < first_slice(set, p + 1); ++n) {
        for (int64_t i = 0; i < set.height * set.width; ++i) {
          if (set.mask(n)[i] == 0) continue;
          sum += affine.a * set.image(n)[i * 3 + c] + affine.b;
          ++count;
        }
      }
      INFO(set.patients[p].id, " channel ", c);
      CHECK(std::abs(sum / static_cast<double>(count)) < 6);
    }
  }
}
