// Hdf5Writer, and what both halves share: types, the library's messages.
#include <algorithm>
#include <cstring>
#include <optional>

#include "engine/core/atomic_file.hpp"
#include "engine/files/hdf5_handles.hpp"

namespace gliograd::files {
namespace {

constexpr uint64_t kInMemoryLimit = uint64_t{1} << 30;
constexpr size_t kGrowth = size_t{1} << 20;  // of the image while it is built

struct Row {
  Hdf5Type type;
  const char* name;
  int64_t size;
};
constexpr Row kTypes[] = {
    {Hdf5Type::f64, "f64", 8}, {Hdf5Type::f32, "f32", 4},   {Hdf5Type::u8, "u8", 1},
    {Hdf5Type::u16, "u16", 2}, {Hdf5Type::i32, "i32", 4},   {Hdf5Type::i64, "i64", 8},
    {Hdf5Type::u64, "u64", 8}, {Hdf5Type::text, "text", 0}, {Hdf5Type::other, "other", 0},
};

Hdf5Handle dataspace(const std::string& where, const std::vector<int64_t>& shape) {
  std::vector<hsize_t> extents(shape.begin(), shape.end());
  const int rank = static_cast<int>(extents.size());
  return {
      GG_HDF5(WorkError, where,
              rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(rank, extents.data(), nullptr)),
      H5Sclose};
}

/// Fixed-length UTF-8 that holds every one of `values`, and their bytes one after another.
Hdf5Handle text_type(const std::string& where, const std::vector<std::string>& values,
                     std::vector<char>& bytes) {
  size_t length = 1;
  for (const std::string& value : values) length = std::max(length, value.size());
  bytes.assign(std::max<size_t>(1, length * values.size()), 0);
  for (size_t i = 0; i < values.size(); ++i) {
    std::memcpy(bytes.data() + i * length, values[i].data(), values[i].size());
  }
  Hdf5Handle type(GG_HDF5(WorkError, where, H5Tcopy(H5T_C_S1)), H5Tclose);
  GG_HDF5(WorkError, where, H5Tset_size(type, length));
  GG_HDF5(WorkError, where, H5Tset_strpad(type, H5T_STR_NULLPAD));
  GG_HDF5(WorkError, where, H5Tset_cset(type, H5T_CSET_UTF8));
  return type;
}

herr_t keep_first(unsigned depth, const H5E_error2_t* error, void* text) {
  if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

}  // namespace

const char* name_of(Hdf5Type type) { return kTypes[static_cast<size_t>(type)].name; }
int64_t size_of(Hdf5Type type) { return kTypes[static_cast<size_t>(type)].size; }

template <>
Hdf5Type hdf5_type_of<double>() {
  return Hdf5Type::f64;
}
template <>
Hdf5Type hdf5_type_of<float>() {
  return Hdf5Type::f32;
}
template <>
Hdf5Type hdf5_type_of<uint8_t>() {
  return Hdf5Type::u8;
}
template <>
Hdf5Type hdf5_type_of<uint16_t>() {
  return Hdf5Type::u16;
}
template <>
Hdf5Type hdf5_type_of<int32_t>() {
  return Hdf5Type::i32;
}
template <>
Hdf5Type hdf5_type_of<int64_t>() {
  return Hdf5Type::i64;
}
template <>
Hdf5Type hdf5_type_of<uint64_t>() {
  return Hdf5Type::u64;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + (shape[i] < 0 ? "any" : std::to_string(shape[i]));
  }
  return text + "]";
}

void quiet_hdf5() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);
}

std::string hdf5_message() {
  std::string text = "the HDF5 library gave no reason";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &text);
  H5Eclear2(H5E_DEFAULT);
  return text;
}

hid_t native_type(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::f64: return H5T_NATIVE_DOUBLE;
    case Hdf5Type::f32: return H5T_NATIVE_FLOAT;
    case Hdf5Type::u8: return H5T_NATIVE_UINT8;
    case Hdf5Type::u16: return H5T_NATIVE_UINT16;
    case Hdf5Type::i32: return H5T_NATIVE_INT32;
    case Hdf5Type::i64: return H5T_NATIVE_INT64;
    case Hdf5Type::u64: return H5T_NATIVE_UINT64;
    case Hdf5Type::text:
    case Hdf5Type::other: break;
  }
  return -1;
}

struct Hdf5Writer::State {
  PendingFile pending;
  std::string path;
  bool in_memory;
  Hdf5Handle file;

  std::string where(const std::string& object) const { return path + ": " + object; }

  /// Creates the groups above `object` that are not there yet.
  void groups_above(const std::string& object) {
    for (size_t slash = object.find('/', 1); slash != std::string::npos;
         slash = object.find('/', slash + 1)) {
      make_group(object.substr(0, slash));
    }
  }
  void make_group(const std::string& object) {
    if (GG_HDF5(WorkError, where(object), H5Lexists(file, object.c_str(), H5P_DEFAULT)) > 0) return;
    const Hdf5Handle plan(GG_HDF5(WorkError, where(object), H5Pcreate(H5P_GROUP_CREATE)), H5Pclose);
    GG_HDF5(WorkError, where(object), H5Pset_obj_track_times(plan, false));
    const Hdf5Handle group(
        GG_HDF5(WorkError, where(object),
                H5Gcreate2(file, object.c_str(), H5P_DEFAULT, plan, H5P_DEFAULT)),
        H5Gclose);
  }
  void dataset(const std::string& object, hid_t stored, hid_t in_memory_type,
               const std::vector<int64_t>& shape, const void* values) {
    groups_above(object);
    const Hdf5Handle space = dataspace(where(object), shape);
    const Hdf5Handle plan(GG_HDF5(WorkError, where(object), H5Pcreate(H5P_DATASET_CREATE)),
                          H5Pclose);
    GG_HDF5(WorkError, where(object), H5Pset_obj_track_times(plan, false));
    const Hdf5Handle set(
        GG_HDF5(WorkError, where(object),
                H5Dcreate2(file, object.c_str(), stored, space, H5P_DEFAULT, plan, H5P_DEFAULT)),
        H5Dclose);
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return;  // nothing to write
    GG_HDF5(WorkError, where(object),
            H5Dwrite(set, in_memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
  }
  void attribute(const std::string& object, const std::string& name, hid_t type,
                 const std::vector<int64_t>& shape, const void* values) {
    const std::string place = where(object) + ", attribute " + name;
    const Hdf5Handle space = dataspace(place, shape);
    const Hdf5Handle attribute(
        GG_HDF5(WorkError, place,
                H5Acreate_by_name(file, object.c_str(), name.c_str(), type, space, H5P_DEFAULT,
                                  H5P_DEFAULT, H5P_DEFAULT)),
        H5Aclose);
    GG_HDF5(WorkError, place, H5Awrite(attribute, type, values));
  }
};

Hdf5Writer::Hdf5Writer(const std::string& path, uint64_t expected_bytes)
    : state_(new State{PendingFile(path), path, expected_bytes <= kInMemoryLimit, {}}) {
  quiet_hdf5();
  const Hdf5Handle access(GG_HDF5(WorkError, path, H5Pcreate(H5P_FILE_ACCESS)), H5Pclose);
  const Hdf5Handle plan(GG_HDF5(WorkError, path, H5Pcreate(H5P_FILE_CREATE)), H5Pclose);
  GG_HDF5(WorkError, path, H5Pset_obj_track_times(plan, false));
  if (state_->in_memory) {
    GG_HDF5(WorkError, path, H5Pset_fapl_core(access, kGrowth, false));
  } else {
    state_->pending.check_room(expected_bytes + expected_bytes / 64);
  }
  state_->file = Hdf5Handle(
      GG_HDF5(WorkError, path,
              H5Fcreate(state_->pending.temporary_path().c_str(), H5F_ACC_TRUNC, plan, access)),
      H5Fclose);
}

Hdf5Writer::~Hdf5Writer() = default;

void Hdf5Writer::group(const std::string& object) {
  state_->groups_above(object);
  state_->make_group(object);
}

void Hdf5Writer::write_raw(const std::string& object, const std::vector<int64_t>& shape,
                           Hdf5Type type, const void* values) {
  state_->dataset(object, native_type(type), native_type(type), shape, values);
}

template <class T>
void Hdf5Writer::write(const std::string& object, const std::vector<int64_t>& shape,
                       const T* values) {
  write_raw(object, shape, hdf5_type_of<T>(), values);
}
template void Hdf5Writer::write(const std::string&, const std::vector<int64_t>&, const double*);
template void Hdf5Writer::write(const std::string&, const std::vector<int64_t>&, const float*);
template void Hdf5Writer::write(const std::string&, const std::vector<int64_t>&, const uint8_t*);
template void Hdf5Writer::write(const std::string&, const std::vector<int64_t>&, const uint16_t*);
template void Hdf5Writer::write(const std::string&, const std::vector<int64_t>&, const int32_t*);
template void Hdf5Writer::write(const std::string&, const std::vector<int64_t>&, const int64_t*);
template void Hdf5Writer::write(const std::string&, const std::vector<int64_t>&, const uint64_t*);

void Hdf5Writer::write(const std::string& object, const std::vector<std::string>& values) {
  std::vector<char> bytes;
  const Hdf5Handle type = text_type(state_->where(object), values, bytes);
  state_->dataset(object, type, type, {static_cast<int64_t>(values.size())}, bytes.data());
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name,
                           const std::string& value) {
  std::vector<char> bytes;
  const Hdf5Handle type = text_type(state_->where(object), {value}, bytes);
  state_->attribute(object, name, type, {}, bytes.data());
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, double value) {
  state_->attribute(object, name, H5T_NATIVE_DOUBLE, {}, &value);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, int64_t value) {
  state_->attribute(object, name, H5T_NATIVE_INT64, {}, &value);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name,
                           const std::vector<std::string>& values) {
  std::vector<char> bytes;
  const Hdf5Handle type = text_type(state_->where(object), values, bytes);
  state_->attribute(object, name, type, {static_cast<int64_t>(values.size())}, bytes.data());
}

void Hdf5Writer::commit() {
  const std::string& path = state_->path;
  GG_HDF5(WorkError, path, H5Fflush(state_->file, H5F_SCOPE_GLOBAL));
  if (state_->in_memory) {
    const auto size = GG_HDF5(WorkError, path, H5Fget_file_image(state_->file, nullptr, 0));
    std::vector<uint8_t> image(static_cast<size_t>(size));
    GG_HDF5(WorkError, path, H5Fget_file_image(state_->file, image.data(), image.size()));
    GG_HDF5(WorkError, path, state_->file.close());
    state_->pending.write(image.data(), image.size());
  } else {
    GG_HDF5(WorkError, path, state_->file.close());
  }
  state_->pending.commit();
}

}  // namespace gliograd::files
