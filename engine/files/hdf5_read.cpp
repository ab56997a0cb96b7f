// read_hdf5: one walk over the file takes in every object, checked against what the file can hold.
#include <hdf5_hl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <set>

#include "engine/files/hdf5_handles.hpp"
#include "engine/files/hdf5_message.hpp"

namespace gliograd::files {
namespace {

constexpr int kDeepest = 32;             // groups inside groups
constexpr size_t kMostObjects = 200000;  // in one file
constexpr int kHighestRank = 8;
constexpr uint64_t kMostDeflated = 1040;  // deflate makes at most 1 byte of 1032

struct Link {
  std::string name;
  H5L_type_t type;
};

herr_t collect_link(hid_t, const char* name, const H5L_info_t* info, void* links) {
  try {
    static_cast<std::vector<Link>*>(links)->push_back({name, info->type});
    return 0;
  } catch (...) {  // no exception may cross the library
    return -1;
  }
}

std::string below(const std::string& group, const std::string& name) {
  return (group == "/" ? "" : group) + "/" + name;
}

/// A fixed-length string up to its first zero.
std::string until_zero(const char* bytes, size_t length) {
  return std::string(bytes, ::strnlen(bytes, length));
}

class Walk {
 public:
  Walk(const std::vector<uint8_t>& bytes, Hdf5Objects& objects)
      : size_(bytes.size()), objects_(objects) {
    // The image is only read, and outlives the file: no copy.
    const unsigned flags = H5LT_FILE_IMAGE_DONT_COPY | H5LT_FILE_IMAGE_DONT_RELEASE;
    const Hdf5Handle file(
        GG_HDF5(Error, std::string("damaged"),
                H5LTopen_file_image(const_cast<uint8_t*>(bytes.data()), bytes.size(), flags)),
        H5Fclose);
    visit(file, "/", 0);
  }

 private:
  [[noreturn]] void fail(const std::string& object, const std::string& what) const {
    throw Error(object + " " + what);
  }

  void visit(hid_t file, const std::string& path, int depth) {
    if (depth > kDeepest) fail(path, "lies too deep; groups may be nested 32 times");
    if (objects_.size() >= kMostObjects) fail(path, "is one object too many");
    H5O_info_t info{};
    GG_HDF5(Error, path, H5Oget_info_by_name(file, path.c_str(), &info, H5P_DEFAULT));
    if (!seen_.insert(info.addr).second) fail(path, "leads back to an object met before (a cycle)");
    Hdf5Object& object = objects_[path];
    if (info.type == H5O_TYPE_DATASET) {
      const Hdf5Handle set(GG_HDF5(Error, path, H5Dopen2(file, path.c_str(), H5P_DEFAULT)),
                           H5Dclose);
      object.value = read_dataset(set, path);
      read_attributes(set, path, info.num_attrs, object);
    } else if (info.type == H5O_TYPE_GROUP) {
      object.is_group = true;
      const Hdf5Handle group(GG_HDF5(Error, path, H5Gopen2(file, path.c_str(), H5P_DEFAULT)),
                             H5Gclose);
      read_attributes(group, path, info.num_attrs, object);
      std::vector<Link> links;
      GG_HDF5(Error, path,
              H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect_link, &links));
      for (const Link& link : links) {
        const std::string child = below(path, link.name);
        if (link.type != H5L_TYPE_HARD) fail(child, "is a soft or external link; none is followed");
        if (objects_.count(child) != 0) fail(child, "is there twice");
        visit(file, child, depth + 1);
      }
    }
  }

  /// What the file says the type is, in the types we know.
  Hdf5Type type_of(hid_t type, bool any_width) const {
    const size_t size = H5Tget_size(type);
    switch (H5Tget_class(type)) {
      case H5T_STRING: return Hdf5Type::text;
      case H5T_FLOAT:
        if (any_width || size == 8) return Hdf5Type::f64;
        return size == 4 ? Hdf5Type::f32 : Hdf5Type::other;
      case H5T_INTEGER: {
        if (any_width) return Hdf5Type::i64;
        const bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
        if (size == 8) return is_signed ? Hdf5Type::i64 : Hdf5Type::u64;
        if (size == 4 && is_signed) return Hdf5Type::i32;
        if (size == 2 && !is_signed) return Hdf5Type::u16;
        return size == 1 && !is_signed ? Hdf5Type::u8 : Hdf5Type::other;
      }
      default: return Hdf5Type::other;
    }
  }

  /// Extents, and how many values that is; refuses what overflows.
  std::vector<int64_t> shape_of(hid_t space, const std::string& path, uint64_t& count) const {
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > kHighestRank) fail(path, "has more than 8 axes");
    std::vector<hsize_t> extents(static_cast<size_t>(rank));
    if (rank > 0) {
      GG_HDF5(Error, path, H5Sget_simple_extent_dims(space, extents.data(), nullptr));
    }
    count = H5Sget_simple_extent_type(space) == H5S_NULL ? 0 : 1;
    std::vector<int64_t> shape;
    for (const hsize_t extent : extents) {
      if (extent > (uint64_t{1} << 48) || __builtin_mul_overflow(count, extent, &count)) {
        fail(path, "has a shape that no file can hold");
      }
      shape.push_back(static_cast<int64_t>(extent));
    }
    return shape;
  }

  /// Before memory is taken: `count` values of `width` bytes must be in the file.
  void check_storage(hid_t set, const std::string& path, uint64_t count, uint64_t width) const {
    const Hdf5Handle plan(GG_HDF5(Error, path, H5Dget_create_plist(set)), H5Pclose);
    const H5D_layout_t layout = H5Pget_layout(plan);
    if (layout == H5D_VIRTUAL || (layout == H5D_CONTIGUOUS && H5Pget_external_count(plan) > 0)) {
      fail(path, "keeps its data in another file");
    }
    uint64_t bytes = 0;
    const bool overflow = __builtin_mul_overflow(count, width, &bytes);
    const bool packed = layout == H5D_CHUNKED && H5Pget_nfilters(plan) > 0;
    const uint64_t stored = std::min<uint64_t>(H5Dget_storage_size(set), size_);
    if (overflow || bytes > (packed ? stored * kMostDeflated : stored)) {
      fail(path, "claims more values than the file of " + std::to_string(size_) + " bytes holds");
    }
  }

  Hdf5Value read_dataset(hid_t set, const std::string& path) const {
    Hdf5Value value;
    const Hdf5Handle type(GG_HDF5(Error, path, H5Dget_type(set)), H5Tclose);
    const Hdf5Handle space(GG_HDF5(Error, path, H5Dget_space(set)), H5Sclose);
    uint64_t count = 0;
    value.type = type_of(type, false);
    value.shape = shape_of(space, path, count);
    if (value.type == Hdf5Type::text) {
      // Strings of variable length lie in heaps; we write and take fixed ones in datasets.
      if (H5Tis_variable_str(type) != 0 || value.shape.size() > 1) value.type = Hdf5Type::other;
    }
    if (value.type == Hdf5Type::other) return value;
    check_storage(set, path, count, H5Tget_size(type));
    read_values(type, path, count, value, [&](hid_t memory_type, void* out) {
      return H5Dread(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out);
    });
    return value;
  }

  void read_attributes(hid_t object, const std::string& path, hsize_t count,
                       Hdf5Object& out) const {
    for (hsize_t i = 0; i < count; ++i) {
      const Hdf5Handle attribute(GG_HDF5(Error, path,
                                         H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, i,
                                                        H5P_DEFAULT, H5P_DEFAULT)),
                                 H5Aclose);
      char name[256] = {};
      GG_HDF5(Error, path, H5Aget_name(attribute, sizeof name, name));
      out.attributes[name] = read_attribute(attribute, path + ", attribute " + name);
    }
  }

  Hdf5Value read_attribute(hid_t attribute, const std::string& path) const {
    Hdf5Value value;
    const Hdf5Handle type(GG_HDF5(Error, path, H5Aget_type(attribute)), H5Tclose);
    const Hdf5Handle space(GG_HDF5(Error, path, H5Aget_space(attribute)), H5Sclose);
    uint64_t count = 0;
    value.type = type_of(type, true);
    value.shape = shape_of(space, path, count);
    if (value.shape.size() > 1) value.type = Hdf5Type::other;
    if (value.type == Hdf5Type::other) return value;
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(count, H5Tget_size(type), &bytes) || bytes > size_) {
      fail(path, "claims more values than the file holds");
    }
    if (value.type == Hdf5Type::text && H5Tis_variable_str(type) != 0) {
      std::vector<char*> texts(count, nullptr);
      GG_HDF5(Error, path, H5Aread(attribute, type, texts.data()));
      for (const char* text : texts) value.texts.emplace_back(text == nullptr ? "" : text);
      H5Dvlen_reclaim(type, space, H5P_DEFAULT, texts.data());
      return value;
    }
    read_values(type, path, count, value,
                [&](hid_t memory_type, void* out) { return H5Aread(attribute, memory_type, out); });
    return value;
  }

  template <class Read>
  void read_values(hid_t type, const std::string& path, uint64_t count, Hdf5Value& value,
                   const Read& read) const {
    const bool is_text = value.type == Hdf5Type::text;
    const size_t width = is_text ? H5Tget_size(type) : static_cast<size_t>(size_of(value.type));
    const size_t bytes = std::max<size_t>(1, count * width);
    std::shared_ptr<void> data(std::malloc(bytes), std::free);
    if (data == nullptr) {
      throw Error(path + ": no memory for " + std::to_string(bytes) + " bytes");
    }
    if (count > 0) GG_HDF5(Error, path, read(is_text ? type : native_type(value.type), data.get()));
    if (is_text) {
      for (uint64_t i = 0; i < count; ++i) {
        value.texts.push_back(until_zero(static_cast<const char*>(data.get()) + i * width, width));
      }
    } else {
      value.data = data;
      value.bytes = count * width;
    }
  }

  uint64_t size_;
  Hdf5Objects& objects_;
  std::set<haddr_t> seen_;
};

}  // namespace

Hdf5Objects read_hdf5(const std::vector<uint8_t>& bytes) {
  static constexpr uint8_t kMagic[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  if (bytes.empty()) throw Error("is empty");
  if (bytes.size() < 64 || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) {
    throw Error("is not an HDF5 file");
  }
  quiet_hdf5();
  Hdf5Objects objects;
  const Walk walk(bytes, objects);
  return objects;
}

}  // namespace gliograd::files
