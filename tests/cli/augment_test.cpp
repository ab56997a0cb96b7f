#include <sys/stat.h>

#include <cstring>

#include "data/augment_policy.hpp"
#include "data/readers/prepared_set.hpp"
#include "engine/files/hdf5_file.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using gliograd::test::CommandResult;
using gliograd::test::contains;
using gliograd::test::TempDir;

namespace {

// 3 patients with 2, 1 and 3 slices of 32 by 32 and two sequences.
data::Dataset small_cohort() {
  data::Dataset set;
  set.name = "small";
  set.digest = "d";
  set.height = set.width = 32;
  set.channels = {"flair", "post"};
  const int counts[] = {2, 1, 3};
  for (int p = 0; p < 3; ++p) {
    data::Patient patient;
    patient.id = std::string("P") + static_cast<char>('1' + p);
    patient.present = {1, 1};
    patient.affine = {{0.02f, -1.0f - 0.1f * static_cast<float>(p)}, {0.03f, -2}};
    set.patients.push_back(patient);
    for (int n = 0; n < counts[p]; ++n) {
      set.slices.push_back({.patient = p, .number = 10 + n, .area = 10 * n + 1});
      for (int i = 0; i < 32 * 32; ++i) {
        const int y = i / 32, x = i % 32;
        set.masks.push_back(y > 8 && y < 24 && x > 10 && x < 20 + n ? 1 : 0);
        set.images.push_back(static_cast<uint8_t>(7 * x + p * 10));
        set.images.push_back(static_cast<uint8_t>(5 * y + n * 20));
      }
    }
  }
  set.slices_count = static_cast<int64_t>(set.slices.size());
  return set;
}

std::string written_set(const TempDir& folder) {
  std::string path = folder / "set.h5";
  data::write_prepared(small_cohort(), path, {});
  return path;
}

CommandResult augment_command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "augment");
  return test::gliograd(arguments);
}

// Width and height in a PNG's header.
std::pair<uint32_t, uint32_t> png_size(const std::string& path) {
  const std::string bytes = test::read_file(path);
  REQUIRE(bytes.size() > 24);
  CHECK(bytes.substr(0, 8) == "\x89PNG\r\n\x1a\n");
  const auto number = [&](size_t at) {
    uint32_t n = 0;
    for (size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<uint8_t>(bytes[at + i]);
    return n;
  };
  return {number(16), number(20)};
}

}  // namespace

TEST_CASE("augment command: sheets, a page that shows them, and the same bytes each time") {
  const TempDir folder;
  const std::string set = written_set(folder);
  for (const char* out : {"a", "b"}) {
    const CommandResult run =
        augment_command({"--data", set, "--out", folder / out, "--preset", "full", "--patients",
                         "2", "--draws", "3", "--threads", out[0] == 'a' ? "1" : "3", "--arrays"});
    CHECK_MESSAGE(run.code == 0, run.err);
    CHECK(contains(run.out, "4 sheets of 2 slices, and batch.h5"));
  }
  const std::string page = test::read_file(folder / "a/index.html");
  for (const char* name : {"inputs.png", "draws-0.png", "draws-1.png", "transforms.png"}) {
    const std::string file = std::string("a/") + name;
    CHECK(contains(page, std::string("src=\"") + name));
    const auto size = png_size(folder / file);
    CHECK(size.first > 3 * 64);
    CHECK(size.second > 2 * 64);
    CHECK(test::read_file(folder / file) == test::read_file(folder / (std::string("b/") + name)));
  }
  CHECK(test::read_file(folder / "a/batch.h5") == test::read_file(folder / "b/batch.h5"));
}

TEST_CASE("augment command: without augmentation the arrays are the standardized set") {
  const TempDir folder;
  const data::Dataset set = small_cohort();
  const CommandResult run =
      augment_command({"--data", written_set(folder), "--out", folder / "o", "--preset", "off",
                       "--patients", "P1,P3", "--all-slices", "--draws", "1", "--arrays"});
  CHECK_MESSAGE(run.code == 0, run.err);
  const files::Hdf5Reader file(folder / "o/batch.h5");
  CHECK(file.text_attribute("/", "format") == "gliograd.batch");
  CHECK(file.read_texts("/channels") == std::vector<std::string>{"flair", "post", "mask"});
  CHECK(file.read_texts("/patients") == std::vector<std::string>{"P1", "P1", "P3", "P3", "P3"});
  CHECK(file.read<int32_t>("/numbers", {5}) == std::vector<int32_t>{10, 11, 10, 11, 12});
  CHECK(file.read<int32_t>("/draws", {5}) == std::vector<int32_t>{0, 1, 2, 3, 4});
  CHECK(file.read<float>("/parameters/scale", {5}) == std::vector<float>(5, 1.0f));
  const std::vector<float> images = file.read<float>("/images", {5, 32, 32, 3});
  const std::vector<uint8_t> masks = file.read<uint8_t>("/masks", {5, 32, 32});
  const int64_t slices[] = {0, 1, 3, 4, 5};
  int64_t wrong = 0;
  for (int64_t i = 0; i < 5; ++i) {
    const data::Patient& patient = set.patients[set.slices[slices[i]].patient];
    for (int64_t p = 0; p < 1024; ++p) {
      for (int c = 0; c < 2; ++c) {
        const float raw = set.image(slices[i])[p * 2 + c];
        wrong += images[(i * 1024 + p) * 3 + c] != patient.affine[c].a * raw + patient.affine[c].b;
      }
      wrong += images[(i * 1024 + p) * 3 + 2] != set.mask(slices[i])[p];
      wrong += masks[i * 1024 + p] != set.mask(slices[i])[p];
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("augment command: the arrays tell what was drawn, and a setting overrides the preset") {
  const TempDir folder;
  const CommandResult run =
      augment_command({"--data",      written_set(folder),
                       "--out",       folder / "o",
                       "--preset",    "light",
                       "--augment",   "rotation-probability=1,rotation-degrees=3",
                       "--seed",      "9",
                       "--sequences", "post",
                       "--mask",      "none",
                       "--window",    "20",
                       "--patients",  "P2",
                       "--draws",     "40",
                       "--arrays"});
  CHECK_MESSAGE(run.code == 0, run.err);
  const files::Hdf5Reader file(folder / "o/batch.h5");
  CHECK(file.text_attribute("/", "augment.rotation-degrees") == "3");
  CHECK(file.int_attribute("/", "seed") == 9);
  CHECK(file.view<float>("/images", {40, 20, 20, 1}) != nullptr);
  float largest = 0;
  for (const float v : file.read<float>("/parameters/rotation_degrees", {40})) {
    CHECK(v != 0);
    largest = std::max(largest, std::abs(v));
  }
  CHECK(largest <= 3);
  CHECK(largest > 2);
  CHECK(file.read<float>("/parameters/contrast", {40, 1}).size() == 40);
  CHECK(file.read<int32_t>("/parameters/cutout", {40, 4}) == std::vector<int32_t>(160, 0));
}

TEST_CASE("augment command: bad usage and bad input exit 2 in one line and leave nothing") {
  const TempDir folder;
  const std::string set = written_set(folder), out = folder / "out";
  test::write_file(folder / "text.h5", "no set");
  const auto refused = [&](std::vector<std::string> arguments, const std::string& why) {
    arguments.insert(arguments.end(), {"--out", out});
    const CommandResult run = augment_command(arguments);
    CHECK_MESSAGE(run.code == 2, why);
    CHECK_MESSAGE(contains(run.err, why), run.err);
    CHECK(run.out.empty());
    CHECK(!std::filesystem::exists(out));
  };
  refused({"--data", folder / "none.h5"}, "none.h5");
  refused({"--data", folder / "text.h5"}, "text.h5");
  refused({"--data", set, "--preset", "heavy"}, "there are: off, light, full");
  refused({"--data", set, "--augment", "rotation"}, "NAME=VALUE");
  refused({"--data", set, "--augment", "turn=3"}, "no setting \"turn\"");
  refused({"--data", set, "--input", "mine"}, "there are: default, paper");
  refused({"--data", set, "--sequences", "t2"}, "there are: flair, post");
  refused({"--data", set, "--mask", "x"}, "mask must be");
  refused({"--data", set, "--window", "33"}, "window must be 1 to 32");
  refused({"--data", set, "--input", "paper"}, "window must be 1 to 32");  // 80 of 32
  refused({"--data", set, "--patients", "P9"}, "no patient \"P9\"");
  refused({"--data", set, "--patients", "0"}, "--patients must be at least 1");
  refused({"--data", set, "--draws", "0"}, "--draws");
  refused({"--data", set, "--seed", "-1"}, "--seed");
  const CommandResult taken = augment_command({"--data", set, "--out", folder / "text.h5"});
  CHECK(taken.code == 2);
  CHECK(contains(taken.err, "text.h5: cannot be a folder"));
  CHECK(test::read_file(folder / "text.h5") == "no set");
}

TEST_CASE("augment command: --help has an example, the mask alone is an input too") {
  const CommandResult help = augment_command({"--help"});
  CHECK(help.code == 0);
  CHECK(contains(help.out, "Example: gliograd augment"));
  const TempDir folder;
  const CommandResult run = augment_command(
      {"--data", written_set(folder), "--out", folder / "o", "--sequences", "none", "--arrays"});
  CHECK_MESSAGE(run.code == 0, run.err);
  CHECK(std::filesystem::exists(folder / "o/draws-0.png"));
}
