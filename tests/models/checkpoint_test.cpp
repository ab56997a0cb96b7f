#include "models/checkpoint.hpp"

#include <hdf5.h>

#include <cmath>
#include <functional>
#include <limits>

#include "models/catalog.hpp"
#include "models/weights/checkpoint_file.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::models;
using namespace gliograd::test;

namespace {

const Settings kSettings = {{"widths", "2-3"}, {"input_channels", "2"}};

std::unique_ptr<Network> small_network(uint32_t seed, DType dtype = DType::f32) {
  cpu_stream().set_random({.seed = seed});
  return models::make_network("subtype", kSettings, cpu_stream(), dtype);
}

SeenRecord::Fingerprint fingerprint(float first) {
  SeenRecord::Fingerprint print{};
  print[0] = first;
  print[63] = -first;
  return print;
}

Checkpoint full_checkpoint(Network& network) {
  Checkpoint c = capture(network);
  c.input = {{"flair", "mask"}, "channel", 80, "robust"};
  c.classes = {"1", "IDH-mut"};
  c.step = 1234;
  c.epoch = 7;
  c.seed = 4294967295u;
  c.notes = {{"threshold", "0.4375"}, {"calibration", "a=1.5,b=-0.25"}, {"task", ""}};
  c.optimizer = {{"momentum.head.bias", tensor({2}, {0.5, -1}, DType::f32)},
                 {"updates", tensor({1}, {9007199254740993.0}, DType::i64)},
                 {"exact", tensor({2, 1}, {1e-300, M_PI}, DType::f64)}};
  c.seen = {
      {"P1", "größer"}, {"TCGA-CS-4941", "unknown"}, {fingerprint(0.5f), fingerprint(2)}, true};
  return c;
}

// Changes a written file through the library; every step is checked.
void tamper(const std::string& path, const std::function<void(hid_t)>& body) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  REQUIRE(file >= 0);
  body(file);
  REQUIRE(H5Fclose(file) >= 0);
}

void put(hid_t file, const char* name, std::vector<hsize_t> extents, hid_t type,
         const std::vector<double>& values) {
  if (H5Lexists(file, name, H5P_DEFAULT) > 0) REQUIRE(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
  const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
  const hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  REQUIRE(set >= 0);
  REQUIRE(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
  H5Dclose(set);
  H5Sclose(space);
}

void put_integer(hid_t file, const char* name, int64_t value) {
  REQUIRE(H5Adelete(file, name) >= 0);
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t a = H5Acreate2(file, name, H5T_NATIVE_INT64, space, H5P_DEFAULT, H5P_DEFAULT);
  REQUIRE(H5Awrite(a, H5T_NATIVE_INT64, &value) >= 0);
  H5Aclose(a);
  H5Sclose(space);
}

std::string reading_error(const std::string& path) {
  return error_of([&] { read_checkpoint(path, cpu_stream()); });
}

}  // namespace

TEST_CASE("checkpoint: what was written comes back, and equal content gives equal bytes") {
  const TempDir folder;
  const auto network = small_network(3);
  Tensor var = network->weights().buffers()[1].value;
  var.at<float>(1) = 2.5f;
  const Checkpoint written = full_checkpoint(*network);
  const std::string path = folder / "a.h5";
  write_checkpoint(path, written);
  Checkpoint read = read_checkpoint(path, cpu_stream());
  CHECK(read.source == path);
  CHECK(read.architecture == "subtype");
  CHECK(read.settings == network->settings());
  CHECK(read.input.channels == written.input.channels);
  CHECK(read.input.mask == "channel");
  CHECK(read.input.window == 80);
  CHECK(read.input.normalization == "robust");
  CHECK(read.classes == written.classes);
  CHECK(read.step == 1234);
  CHECK(read.epoch == 7);
  CHECK(read.seed == 4294967295u);
  CHECK(read.notes == written.notes);
  CHECK(read.seen.ids == written.seen.ids);
  CHECK(read.seen.identities == written.seen.identities);
  CHECK(read.seen.fingerprints == written.seen.fingerprints);
  CHECK(read.seen.provenance_unknown);
  REQUIRE(read.optimizer.size() == 3);  // sorted by name
  CHECK(read.optimizer[0].name == "exact");
  CHECK(read.optimizer[0].value.dtype == DType::f64);
  CHECK(values(read.optimizer[0].value) == std::vector<double>{1e-300, M_PI});
  CHECK(read.optimizer[2].value.at<int64_t>(0) == 9007199254740992);

  const auto other = small_network(4);
  REQUIRE(values(other->weights().parameters()[0]->master) !=
          values(network->weights().parameters()[0]->master));
  const uint64_t version = other->weights().parameters()[0]->version();
  restore(*other, read);
  CHECK(other->weights().parameters()[0]->version() > version);  // cached copies are stale
  for (size_t i = 0; i < other->weights().parameters().size(); ++i) {
    CHECK(values(other->weights().parameters()[i]->master) ==
          values(network->weights().parameters()[i]->master));
  }
  CHECK(values(other->weights().buffers()[1].value) == std::vector{1.0, 2.5});
  const auto made = models::make_network(read, cpu_stream());
  CHECK(made->settings() == network->settings());

  write_checkpoint(folder / "b.h5", read);  // another order of tensors
  CHECK(read_file(folder / "b.h5") == read_file(path));
  read.epoch = 8;
  write_checkpoint(folder / "b.h5", read);
  CHECK(read_file(folder / "b.h5") != read_file(path));
}

TEST_CASE("checkpoint: empty lists and a thousand long class names") {
  const TempDir folder;
  const auto network = small_network(3);
  Checkpoint c = capture(*network);
  for (int i = 0; i < 1000; ++i) c.classes.push_back(std::string(120, 'x') + std::to_string(i));
  write_checkpoint(folder / "a.h5", c);
  const Checkpoint read = read_checkpoint(folder / "a.h5", cpu_stream());
  CHECK(read.classes == c.classes);
  CHECK(read.seen.ids.empty());
  CHECK_FALSE(read.seen.provenance_unknown);
  CHECK(read.optimizer.empty());
  CHECK(read.notes.empty());
}

TEST_CASE("checkpoint: what must not be written is refused, and the old file stays") {
  const TempDir folder;
  const auto network = small_network(3);
  const std::string path = folder / "a.h5";
  write_checkpoint(path, capture(*network));
  const std::string before = read_file(path);
  const auto refused = [&](const std::function<void(Checkpoint&)>& change) {
    Checkpoint c = full_checkpoint(*network);
    change(c);
    std::string text = error_of([&] { write_checkpoint(path, c); });
    CHECK(read_file(path) == before);
    return text;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(refused([&](Checkpoint& c) {
          c.buffers[1].value = tensor({2}, {1, nan});
        }) == path + ": /buffers/stage1.norm1.var holds NaN or infinity, first at value 1");
  CHECK(contains(refused([&](Checkpoint& c) { c.parameters.push_back(c.parameters[0]); }),
                 "/parameters/stage1.conv1.weight was given twice"));
  CHECK(contains(refused([&](Checkpoint& c) { c.optimizer[0].name = "a/b"; }), "'a/b' is no name"));
  CHECK(contains(refused([&](Checkpoint& c) { c.notes["a=b"] = "c"; }),
                 "'a=b' is no name of an option or note"));
  CHECK(contains(refused([&](Checkpoint& c) { c.seen.identities.pop_back(); }),
                 "2 patients seen, with 1 identities"));
}

TEST_CASE("checkpoint: bad files are refused in one line that names the file") {
  const TempDir folder;
  const auto network = small_network(3);
  const std::string path = folder / "a.h5", good = folder / "good.h5";
  write_checkpoint(good, full_checkpoint(*network));
  const std::string bytes = read_file(good);
  const auto tampered = [&](const std::function<void(hid_t)>& body) {
    write_file(path, bytes);
    tamper(path, body);
    std::string text = reading_error(path);
    CHECK(contains(text, path));
    CHECK(text.find('\n') == std::string::npos);
    return text;
  };

  CHECK(contains(reading_error(folder / "missing.h5"), "missing.h5"));
  CHECK(contains(reading_error(folder.path().string()), folder.path().string()));
  for (const size_t size :
       {size_t{0}, size_t{7}, size_t{100}, bytes.size() / 2, bytes.size() - 9}) {
    CAPTURE(size);
    write_file(path, bytes.substr(0, size));
    std::string text = reading_error(path);
    CHECK(contains(text, path));
    CHECK(text.find('\n') == std::string::npos);
  }

  CHECK(contains(tampered([](hid_t f) { put_integer(f, "version", 2); }),
                 "is a checkpoint of version 2; this program reads version 1"));
  CHECK(contains(tampered([](hid_t f) { H5Adelete(f, "format"); }), "is no checkpoint"));
  CHECK(contains(tampered([](hid_t f) { put_integer(f, "seed", -1); }),
                 "attribute seed must be from 0 to 4294967295; got -1"));
  CHECK(contains(tampered([](hid_t f) { put_integer(f, "seed", int64_t{1} << 32); }), "seed"));
  CHECK(contains(tampered([](hid_t f) { H5Adelete(f, "options"); }), "options"));
  CHECK(contains(tampered([](hid_t f) { H5Ldelete(f, "/buffers", H5P_DEFAULT); }),
                 "has no /buffers"));
  CHECK(contains(tampered([](hid_t f) { H5Ldelete(f, "/seen/id", H5P_DEFAULT); }), "/seen/id"));
  CHECK(contains(tampered([](hid_t f) {
                   put(f, "/parameters/head.bias", {2}, H5T_IEEE_F32LE, {1, INFINITY});
                 }),
                 "/parameters/head.bias holds NaN or infinity, first at value 1"));
  CHECK(contains(tampered([](hid_t f) {
                   put(f, "/parameters/head.bias", {2}, H5T_STD_I32LE, {1, 2});
                 }),
                 "/parameters/head.bias must be f32 or f64; got i32"));
  CHECK(contains(tampered([](hid_t f) {
                   put(f, "/parameters/head.bias", {1, 1, 1, 1, 1, 2}, H5T_IEEE_F32LE, {1, 2});
                 }),
                 "/parameters/head.bias has 6 axes"));
  CHECK(contains(tampered([](hid_t f) {
                   put(f, "/seen/fingerprint", {2, 3}, H5T_IEEE_F32LE, {1, 2, 3, 4, 5, 6});
                 }),
                 "/seen/fingerprint must be f32 [2, 64]"));
  // Any single byte may be wrong: the file is read or refused, never a crash.
  for (size_t at = 0; at < bytes.size(); at += 211) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    write_file(path, damaged);
    try {
      read_checkpoint(path, cpu_stream());
    } catch (const Error& error) {
      CHECK(contains(error.what(), path));
    }
  }
}

TEST_CASE("checkpoint: weights that do not fit the network leave it as it was") {
  const TempDir folder;
  const auto network = small_network(3);
  const std::string path = folder / "a.h5";
  write_checkpoint(path, capture(*network));
  const Checkpoint good = read_checkpoint(path, cpu_stream());
  const auto other = small_network(4);
  const std::vector<double> before = values(other->weights().parameters()[0]->master);
  const auto refused = [&](const std::function<void(Checkpoint&)>& change) {
    Checkpoint c = good;
    change(c);
    std::string text = error_of([&] { restore(*other, c); });
    CHECK(values(other->weights().parameters()[0]->master) == before);
    return text;
  };
  // Sorted by name: head.bias comes first.
  CHECK(refused([](Checkpoint& c) {
          c.parameters[0].value = tensor({3}, {1, 2, 3});
        }) == path + ": parameter head.bias must be [2]; got [3]");
  CHECK(refused([](Checkpoint& c) { c.parameters.erase(c.parameters.begin()); }) ==
        path + ": parameter head.bias is missing");
  CHECK(refused([](Checkpoint& c) {
          c.buffers.push_back({"extra.mean", tensor({1}, {1})});
        }) == path + ": buffer extra.mean has no place in the network");
  CHECK(refused([](Checkpoint& c) {
          c.buffers.back().value = tensor({3}, {1, 2, 3}, DType::i32);
        }) == path + ": buffer stage2.norm1.var must hold floating numbers; got i32");
  Checkpoint unknown = good;
  unknown.architecture = "resnet";
  CHECK(error_of([&] { models::make_network(unknown, cpu_stream()); }) ==
        path + ": network: unknown name 'resnet'; known are subtype, subtype-large");
}

TEST_CASE("seen: records join, and a patient who stands in both is kept once") {
  SeenRecord a{{"P1", "P2"}, {"unknown", "unknown"}, {fingerprint(1), fingerprint(2)}, false};
  const SeenRecord b{{"P2", "P1", "P3"},
                     {"unknown", "unknown", "TCGA-CS-4941"},
                     {fingerprint(2), fingerprint(9), fingerprint(3)},
                     true};
  a.add(b);
  CHECK(a.ids == std::vector<std::string>{"P1", "P2", "P1", "P3"});  // another P1
  CHECK(a.identities.back() == "TCGA-CS-4941");
  CHECK(a.fingerprints.back() == fingerprint(3));
  CHECK(a.provenance_unknown);
}
