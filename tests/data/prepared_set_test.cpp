#include "data/readers/prepared_set.hpp"

#include <hdf5.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

Dataset random_set(uint64_t seed, bool masks) {
  std::mt19937_64 random(seed);
  const auto below = [&](int limit) { return static_cast<int>(random() % limit); };
  Dataset set;
  set.name = "random";
  set.digest = "d1" + std::to_string(random());
  set.height = 1 + below(9);
  set.width = 1 + below(9);
  set.channels = {"pre", "flair", "späth"};
  for (int p = 0; p < 1 + below(6); ++p) {
    Patient patient;
    patient.id = "P" + std::to_string(100 + p);
    patient.site = p % 2 ? "HT" : "";
    if (p == 1) patient.identity = "TCGA-HT-0001";
    for (int c = 0; c < 3; ++c) {
      patient.present.push_back(static_cast<uint8_t>(below(2)));
      patient.affine.push_back({0.01f + static_cast<float>(below(99)), 0.5f - below(99)});
    }
    for (float& value : patient.fingerprint) value = static_cast<float>(below(1000)) / 7;
    set.patients.push_back(patient);
    for (int s = 0; s < 1 + below(4); ++s) {
      set.slices.push_back({p, 3 * s + 1, below(999), {1, 2, 3 + below(9), 4}, {below(9) - 5, -7}});
    }
  }
  set.slices_count = static_cast<int64_t>(set.slices.size());
  set.images.resize(set.slices_count * set.height * set.width * 3);
  for (uint8_t& pixel : set.images) pixel = static_cast<uint8_t>(random());
  if (masks) {
    set.masks.resize(set.slices_count * set.height * set.width);
    for (uint8_t& pixel : set.masks) pixel = random() & 1;
  }
  const size_t p = set.patients.size();
  set.labels = {{"COCCluster", {"1", "2", "10", "IDH-mut"}, std::vector<int32_t>(p, 2)},
                {"a/b.c%2F", {}, std::vector<int32_t>(p, -1)}};
  set.covariates = {{"zulu", std::vector<double>(p, kMissing)},
                    {"age", std::vector<double>(p, 41.5)}};
  set.shape = {{"ratio", std::vector<double>(p, 0.75)}};
  return set;
}

bool same_numbers(const std::vector<CovariateColumn>& a, const std::vector<CovariateColumn>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name || a[i].values.size() != b[i].values.size()) return false;
    for (size_t p = 0; p < a[i].values.size(); ++p) {
      const double x = a[i].values[p], y = b[i].values[p];
      if (!(x == y || (std::isnan(x) && std::isnan(y)))) return false;
    }
  }
  return true;
}

/// Opens a prepared set by the library and changes one thing in it.
template <class Body>
void change(const std::string& path, const Body& body) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  REQUIRE(file >= 0);
  body(file);
  REQUIRE(H5Fclose(file) >= 0);
}

template <class T>
void overwrite(hid_t file, const char* object, hid_t type, size_t index, T value) {
  const hid_t set = H5Dopen2(file, object, H5P_DEFAULT);
  const hid_t space = H5Dget_space(set);
  std::vector<T> values(static_cast<size_t>(H5Sget_simple_extent_npoints(space)));
  REQUIRE(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
  values.at(index) = value;
  REQUIRE(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
  H5Sclose(space);
  H5Dclose(set);
}

template <class Body>
std::string error_after(const std::string& path, const Body& body) {
  write_prepared(random_set(7, true), path, {});
  change(path, body);
  std::string text = error_of([&] { read_prepared(path); });
  CHECK(text.rfind(path + ": ", 0) == 0);
  CHECK(!contains(text, "\n"));
  return text;
}

}  // namespace

TEST_CASE("prepared_set: what is written comes back, masks or not") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  const TempDir folder;
  const std::string path = folder / "a.h5";
  for (const bool masks : {true, false}) {
    const Dataset set = random_set(seed, masks);
    write_prepared(set, path, {{"command", "gliograd prepare lgg x"}, {"crop", "window"}});
    const Dataset got = read_prepared(path);
    CHECK(got.name == path);
    CHECK(got.digest == set.digest);
    CHECK(got.slices_count == set.slices_count);
    CHECK(got.height == set.height);
    CHECK(got.width == set.width);
    CHECK(got.channels == set.channels);
    CHECK(got.images == set.images);
    CHECK(got.masks == set.masks);
    REQUIRE(got.slices.size() == set.slices.size());
    for (size_t i = 0; i < got.slices.size(); ++i) {
      CHECK(got.slices[i].patient == set.slices[i].patient);
      CHECK(got.slices[i].number == set.slices[i].number);
      CHECK(got.slices[i].area == set.slices[i].area);
      CHECK(got.slices[i].box == set.slices[i].box);
      CHECK(got.slices[i].origin == set.slices[i].origin);
    }
    REQUIRE(got.patients.size() == set.patients.size());
    for (size_t p = 0; p < got.patients.size(); ++p) {
      CHECK(got.patients[p].id == set.patients[p].id);
      CHECK(got.patients[p].site == set.patients[p].site);
      CHECK(got.patients[p].identity == set.patients[p].identity);
      CHECK(got.patients[p].present == set.patients[p].present);
      CHECK(got.patients[p].fingerprint == set.patients[p].fingerprint);
      for (int c = 0; c < 3; ++c) {
        CHECK(got.patients[p].affine[c].a == set.patients[p].affine[c].a);
        CHECK(got.patients[p].affine[c].b == set.patients[p].affine[c].b);
      }
    }
    REQUIRE(got.labels.size() == 2);
    for (size_t i = 0; i < 2; ++i) {
      CHECK(got.labels[i].name == set.labels[i].name);
      CHECK(got.labels[i].classes == set.labels[i].classes);
      CHECK(got.labels[i].values == set.labels[i].values);
    }
    CHECK(same_numbers(got.covariates, set.covariates));
    CHECK(same_numbers(got.shape, set.shape));
  }
}

TEST_CASE("prepared_set: equal sets give equal bytes") {
  const TempDir folder;
  const Dataset set = random_set(3, true);
  write_prepared(set, folder / "a.h5", {{"command", "x"}});
  write_prepared(set, folder / "b.h5", {{"command", "x"}});
  CHECK(read_file(folder / "a.h5") == read_file(folder / "b.h5"));
}

TEST_CASE("prepared_set: a set that is not sound is not written, and the old file stays") {
  const TempDir folder;
  Dataset set = random_set(3, true);
  write_file(folder / "a.h5", "old");
  set.slices[0].patient = 99;
  CHECK_THROWS_AS(write_prepared(set, folder / "a.h5", {}), Error);
  const auto refused = [&](Dataset changed) {
    try {
      write_prepared(changed, folder / "a.h5", {});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("written");
  };
  const Dataset sound = random_set(3, true);
  Dataset changed = sound;
  changed.patients.push_back(changed.patients.back());
  changed.patients.back().id += "z";
  CHECK(contains(refused(changed), "z has no slice"));
  changed = sound;
  changed.labels[0].classes[1] = changed.labels[0].classes[0];
  CHECK(contains(refused(changed), "twice"));
  CHECK(read_file(folder / "a.h5") == "old");
}

TEST_CASE("prepared_set: what is not as the format says is refused in one line") {
  const TempDir folder;
  const std::string path = folder / "a.h5";
  const auto says = [&](const char* part, const auto& body) {
    const std::string text = error_after(path, body);
    INFO(text);
    CHECK(contains(text, part));
  };
  const auto remove = [](const char* object) {
    return [object](hid_t file) { REQUIRE(H5Ldelete(file, object, H5P_DEFAULT) >= 0); };
  };
  for (const char* object : {"/images", "/channels", "/slices/patient", "/slices/origin",
                             "/patients/id", "/patients/affine", "/patients/fingerprint"}) {
    says((std::string("has no dataset ") + object).c_str(), remove(object));
  }
  says("is no prepared set", [](hid_t file) { H5Adelete(file, "format"); });
  says("reads version 1", [](hid_t file) {
    const hid_t attribute = H5Aopen(file, "version", H5P_DEFAULT);
    const int64_t version = 2;
    H5Awrite(attribute, H5T_NATIVE_INT64, &version);
    H5Aclose(attribute);
  });
  says("/images must be u8 [any, any, any, 3]; found i32 [", [](hid_t file) {
    H5Ldelete(file, "/images", H5P_DEFAULT);
    H5Lmove(file, "/slices/area", file, "/images", H5P_DEFAULT, H5P_DEFAULT);
  });
  says("/masks must be 0 or 1",
       [](hid_t file) { overwrite<uint8_t>(file, "/masks", H5T_NATIVE_UINT8, 0, 2); });
  says("belongs to patient 77",
       [](hid_t file) { overwrite<int32_t>(file, "/slices/patient", H5T_NATIVE_INT32, 0, 77); });
  says("negative area",
       [](hid_t file) { overwrite<int32_t>(file, "/slices/area", H5T_NATIVE_INT32, 0, -1); });
  says("is no box",
       [](hid_t file) { overwrite<int32_t>(file, "/slices/box", H5T_NATIVE_INT32, 0, -1); });
  says("/patients/present must be 0 or 1",
       [](hid_t file) { overwrite<uint8_t>(file, "/patients/present", H5T_NATIVE_UINT8, 0, 3); });
  says("scale that is not finite", [](hid_t file) {
    overwrite<float>(file, "/patients/affine", H5T_NATIVE_FLOAT, 0, std::nanf(""));
  });
  says("scale beyond any image's",
       [](hid_t file) { overwrite<float>(file, "/patients/affine", H5T_NATIVE_FLOAT, 0, 1e30f); });
  says("fingerprint of patient", [](hid_t file) {
    overwrite<float>(file, "/patients/fingerprint", H5T_NATIVE_FLOAT, 5,
                     std::numeric_limits<float>::infinity());
  });
  says("beyond its 4 classes",
       [](hid_t file) { overwrite<int32_t>(file, "/labels/COCCluster", H5T_NATIVE_INT32, 0, 4); });
  says("holds an infinity", [](hid_t file) {
    overwrite<double>(file, "/covariates/age", H5T_NATIVE_DOUBLE, 0, -HUGE_VAL);
  });
}

TEST_CASE("prepared_set: the h5py example of docs/formats.md runs") {
  const std::string name = "prepared_set: the h5py example";
  std::string python;
  for (const std::string& candidate : {std::string("python3"), std::string("/usr/bin/python3"),
                                       source_path(".deps/torch/bin/python3")}) {
    if (candidate[0] == '/' && !std::filesystem::exists(candidate)) continue;
    if (run_command({candidate, "-c", "import h5py"}).code == 0) python = candidate;
    if (!python.empty()) break;
  }
  if (python.empty()) return skip(name, "no python3 with h5py");
  const std::string text = read_file(source_path("docs/formats.md"));
  const size_t from = text.find("```python\n"), to = text.find("```", from + 10);
  REQUIRE(to != std::string::npos);
  const TempDir folder;
  write_file(folder / "example.py", text.substr(from + 10, to - from - 10));
  const Dataset set = random_set(11, true);
  write_prepared(set, folder / "a.h5", {{"command", "x"}});
  const CommandResult result = run_command({python, folder / "example.py", folder / "a.h5"});
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(contains(result.out, "images " + std::to_string(set.slices_count) + " "));
  CHECK(contains(result.out, "label COCCluster 1=0 2=0 10=" + std::to_string(set.patients.size())));
  double sum = 0;
  const int64_t values = set.height * set.width * 3;
  for (int64_t i = 0; i < values; ++i) {
    const Affine& affine = set.patients[0].affine[i % 3];
    sum += affine.a * set.images[i] + affine.b;
  }
  const size_t first = result.out.find("first P100 1 ");
  REQUIRE(first != std::string::npos);
  const double mean = std::stod(result.out.substr(first + 13));
  CHECK(mean == doctest::Approx(sum / static_cast<double>(values)).epsilon(1e-4));
}
