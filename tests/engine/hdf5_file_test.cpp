#include "engine/files/hdf5_file.hpp"

#include <hdf5.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::files;
using namespace gliograd::test;

namespace {

void write_sample(const std::string& path) {
  Hdf5Writer writer(path);
  writer.write("/images", {2, 3}, std::vector<uint8_t>{1, 2, 3, 4, 5, 255}.data());
  writer.write("/deep/er/f32", std::vector<float>{1.5f, std::nanf(""), -0.0f});
  writer.write("/deep/f64", std::vector<double>{1e300});
  writer.write("/deep/i32", std::vector<int32_t>{-1, 7});
  writer.write("/deep/i64", std::vector<int64_t>{std::numeric_limits<int64_t>::min()});
  writer.write("/deep/u64", std::vector<uint64_t>{~uint64_t{0}});
  writer.write("/deep/u16", std::vector<uint16_t>{65535});
  writer.write("/none", std::vector<double>{});
  writer.write("/names", std::vector<std::string>{"pre", "", "größer"});
  writer.group("/empty");
  writer.attribute("/", "format", "gliograd.test");
  writer.attribute("/", "version", int64_t{1});
  writer.attribute("/images", "scale", 0.25);
  writer.attribute("/names", "classes", std::vector<std::string>{"2", "IDH-mut"});
  writer.attribute("/names", "nothing", std::vector<std::string>{});
  writer.commit();
}

/// A file made by the library directly, to hold what our writer never writes.
template <class Body>
void write_by_library(const std::string& path, const Body& body) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  REQUIRE(file >= 0);
  body(file);
  REQUIRE(H5Fclose(file) >= 0);
}

void dataset(hid_t file, const char* name, std::vector<hsize_t> extents, hid_t plan, bool write) {
  const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
  const hid_t set = H5Dcreate2(file, name, H5T_IEEE_F32BE, space, H5P_DEFAULT, plan, H5P_DEFAULT);
  REQUIRE(set >= 0);
  if (write) {
    std::vector<float> values(extents[0] * extents[1]);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 7);
    REQUIRE(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
  }
  H5Dclose(set);
  H5Sclose(space);
}

std::string reading_error(const std::string& path) {
  return error_of([&] { const Hdf5Reader reader(path); });
}

}  // namespace

TEST_CASE("hdf5_file: every type, strings, attributes and groups come back as written") {
  const TempDir folder;
  write_sample(folder / "a.h5");
  const Hdf5Reader reader(folder / "a.h5");
  CHECK(reader.read<uint8_t>("/images", {2, -1}) == std::vector<uint8_t>{1, 2, 3, 4, 5, 255});
  const std::vector<float> floats = reader.read<float>("/deep/er/f32", {3});
  CHECK(floats[0] == 1.5f);
  CHECK(std::isnan(floats[1]));
  CHECK(std::signbit(floats[2]));
  CHECK(reader.read<double>("/deep/f64", {1}) == std::vector<double>{1e300});
  CHECK(reader.read<int32_t>("/deep/i32", {2}) == std::vector<int32_t>{-1, 7});
  CHECK(reader.read<int64_t>("/deep/i64", {1})[0] == std::numeric_limits<int64_t>::min());
  CHECK(reader.read<uint64_t>("/deep/u64", {1})[0] == ~uint64_t{0});
  CHECK(reader.read<uint16_t>("/deep/u16", {1})[0] == 65535);
  CHECK(reader.read<double>("/none", {-1}).empty());
  CHECK(reader.read_texts("/names", 3) == std::vector<std::string>{"pre", "", "größer"});
  CHECK(reader.children("/") ==
        std::vector<std::string>{"deep", "empty", "images", "names", "none"});
  CHECK(reader.children("/deep") ==
        std::vector<std::string>{"er", "f64", "i32", "i64", "u16", "u64"});
  CHECK(reader.children("/absent").empty());
  CHECK(reader.has_group("/empty"));
  CHECK(!reader.has_dataset("/empty"));
  CHECK(reader.text_attribute("/", "format") == "gliograd.test");
  CHECK(reader.int_attribute("/", "version") == 1);
  CHECK(reader.number_attribute("/images", "scale") == 0.25);
  CHECK(reader.number_attribute("/", "version") == 1);
  CHECK(reader.texts_attribute("/names", "classes") == std::vector<std::string>{"2", "IDH-mut"});
  CHECK(reader.texts_attribute("/names", "nothing").empty());
}

TEST_CASE("hdf5_file: equal content gives equal bytes, whatever the time") {
  const TempDir folder;
  write_sample(folder / "a.h5");
  struct timespec pause {
    1, 100000000
  };
  nanosleep(&pause, nullptr);  // object times count seconds
  write_sample(folder / "b.h5");
  CHECK(read_file(folder / "a.h5") == read_file(folder / "b.h5"));
}

TEST_CASE("hdf5_file: what is missing or of another type or shape is named") {
  const TempDir folder;
  const std::string path = folder / "a.h5";
  write_sample(path);
  const Hdf5Reader reader(path);
  CHECK(error_of([&] {
          reader.read<float>("/images", {2, 3});
        }) == path + ": /images must be f32 [2, 3]; found u8 [2, 3]");
  CHECK(error_of([&] {
          reader.read<uint8_t>("/images", {-1, 4});
        }) == path + ": /images must be u8 [any, 4]; found u8 [2, 3]");
  CHECK(error_of([&] { reader.read<uint8_t>("/masks", {2}); }) == path + ": has no dataset /masks");
  CHECK(error_of([&] { reader.read<uint8_t>("/deep", {2}); }) == path + ": has no dataset /deep");
  CHECK(contains(error_of([&] { reader.int_attribute("/", "format"); }), "must be one integer"));
  CHECK(contains(error_of([&] { reader.text_attribute("/", "absent"); }), "no attribute"));
}

TEST_CASE("hdf5_file: big-endian, chunked and deflated data is read") {
  const TempDir folder;
  write_by_library(folder / "a.h5", [](hid_t file) {
    const hid_t plan = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[] = {16, 16};
    H5Pset_chunk(plan, 2, chunk);
    H5Pset_deflate(plan, 9);
    dataset(file, "x", {64, 64}, plan, true);
    H5Pclose(plan);
  });
  const Hdf5Reader reader(folder / "a.h5");
  CHECK(reader.read<float>("/x", {64, 64})[13] == 6.0f);
}

TEST_CASE("hdf5_file: links, cycles and data outside the file are refused") {
  const TempDir folder;
  const std::string path = folder / "a.h5";
  write_by_library(path, [](hid_t file) {
    H5Lcreate_external("other.h5", "/x", file, "out", H5P_DEFAULT, H5P_DEFAULT);
  });
  CHECK(reading_error(path) == path + ": /out is a soft or external link; none is followed");
  write_by_library(
      path, [](hid_t file) { H5Lcreate_soft("/nowhere", file, "soft", H5P_DEFAULT, H5P_DEFAULT); });
  CHECK(contains(reading_error(path), "/soft is a soft or external link"));
  write_by_library(path, [](hid_t file) {
    const hid_t group = H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(file, "/", group, "up", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
  });
  CHECK(contains(reading_error(path), "/g/up leads back to an object met before"));
  write_by_library(path, [](hid_t file) {
    const hid_t plan = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(plan, "/etc/hostname", 0, 16);
    dataset(file, "x", {2, 2}, plan, false);
    H5Pclose(plan);
  });
  CHECK(reading_error(path) == path + ": /x keeps its data in another file");
}

TEST_CASE("hdf5_file: sizes that the file cannot hold are refused before memory is taken") {
  const TempDir folder;
  const std::string path = folder / "a.h5";
  write_by_library(path, [](hid_t file) {  // 4 TB, never written
    dataset(file, "x", {1 << 20, 1 << 20}, H5P_DEFAULT, false);
  });
  CHECK(contains(reading_error(path), "/x claims more values than the file of"));
  write_by_library(path, [](hid_t file) {
    const hid_t plan = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[] = {16, 16};
    H5Pset_chunk(plan, 2, chunk);
    H5Pset_deflate(plan, 9);
    dataset(file, "x", {1 << 20, 1 << 20}, plan, false);
    H5Pclose(plan);
  });
  CHECK(contains(reading_error(path), "/x claims more values than the file of"));
}

TEST_CASE("hdf5_file: no file, an empty one, another kind and a cut one are refused in one line") {
  const TempDir folder;
  const std::string path = folder / "a.h5";
  CHECK(reading_error(path) == path + ": No such file or directory");
  CHECK(contains(reading_error(folder.path().string()), "is a folder"));
  write_file(path, "");
  CHECK(reading_error(path) == path + ": is empty");
  write_file(path, std::string(500, 'x'));
  CHECK(reading_error(path) == path + ": is not an HDF5 file");
  write_sample(path);
  const std::string whole = read_file(path);
  for (size_t size = 1; size < whole.size(); size += 97) {
    write_file(path, whole.substr(0, size));
    const std::string text = reading_error(path);
    CHECK(text.rfind(path + ": ", 0) == 0);
    CHECK(!contains(text, "\n"));
  }
}

TEST_CASE("hdf5_file: a writer that is not committed leaves nothing") {
  const TempDir folder;
  {
    Hdf5Writer writer(folder / "a.h5");
    writer.write("/x", std::vector<float>{1});
  }
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("hdf5_file: a file announced as large is built in place and reads the same") {
  const TempDir folder;
  Hdf5Writer writer(folder / "a.h5", (uint64_t{1} << 30) + 1);
  writer.write("/x", std::vector<float>{1, 2});
  writer.commit();
  CHECK(Hdf5Reader(folder / "a.h5").read<float>("/x", {2}) == std::vector<float>{1, 2});
  CHECK_THROWS_AS(Hdf5Writer(folder / "b.h5", uint64_t{1} << 60), WorkError);
  CHECK(!std::filesystem::exists(folder / "b.h5"));
  CHECK(!std::filesystem::exists(folder / "b.h5.part"));
}
