// HDF5 files, the only place that knows the library: prepared sets, checkpoints and imported
// weights all go through these two classes. A writer builds the file in memory and replaces the old
// one at once; a reader takes the whole content in, checked, and closes the file. Paths of objects
// are absolute and separated by "/".
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base.hpp"

namespace gliograd::files {

/// `text` is a string of any kind, `other` all that we have no use for.
enum class Hdf5Type : uint8_t { f64, f32, u8, u16, i32, i64, u64, text, other };
/// "f32"
const char* name_of(Hdf5Type type);
/// Bytes of one number; 0 for text and other.
int64_t size_of(Hdf5Type type);
template <class T>
Hdf5Type hdf5_type_of();

/// "[3, 4]"; -1 is printed as "any".
std::string shape_text(const std::vector<int64_t>& shape);

/// Writes one file. Equal calls give equal bytes: no object carries a time. Folders ("groups") come
/// into being with what is put in them.
/// Errors: WorkError "FILE: ..." when the library, memory or the disk fails.
class Hdf5Writer {
 public:
  /// Before commit() the disk holds an empty temporary file, so that a path that cannot be written
  /// is known at once. Beyond 1 GiB of expected_bytes the file grows there instead of in memory,
  /// and the disk must have room for it.
  explicit Hdf5Writer(const std::string& path, uint64_t expected_bytes = 0);
  ~Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  void group(const std::string& object);
  template <class T>
  void write(const std::string& object, const std::vector<int64_t>& shape, const T* values);
  template <class T>
  void write(const std::string& object, const std::vector<T>& values) {
    write(object, {static_cast<int64_t>(values.size())}, values.data());
  }
  /// Fixed-length UTF-8, as long as the longest, padded with zeros.
  void write(const std::string& object, const std::vector<std::string>& values);

  /// Of a group or dataset that exists; "/" is the file itself.
  void attribute(const std::string& object, const std::string& name, const std::string& value);
  void attribute(const std::string& object, const std::string& name, const char* value) {
    attribute(object, name, std::string(value));
  }
  void attribute(const std::string& object, const std::string& name, double value);
  void attribute(const std::string& object, const std::string& name, int64_t value);
  void attribute(const std::string& object, const std::string& name,
                 const std::vector<std::string>& values);

  /// Puts the file in place. Nothing may be written after it.
  void commit();

 private:
  struct State;
  void write_raw(const std::string& object, const std::vector<int64_t>& shape, Hdf5Type type,
                 const void* values);
  std::unique_ptr<State> state_;
};

/// A dataset or an attribute in memory, row-major, in this machine's byte order.
struct Hdf5Value {
  Hdf5Type type = Hdf5Type::other;
  std::vector<int64_t> shape;        // empty for a single value
  std::shared_ptr<const void> data;  // numbers, aligned for them
  uint64_t bytes = 0;                // of data
  std::vector<std::string> texts;    // for Hdf5Type::text
};

struct Hdf5Object {
  bool is_group = false;
  Hdf5Value value;                              // of a dataset
  std::map<std::string, Hdf5Value> attributes;  // numbers as i64 or f64, whatever their width
};

/// By path; "/" is the root.
using Hdf5Objects = std::map<std::string, Hdf5Object>;

/// The content of one file, read and checked at once by a worker process (engine/files/worker.hpp):
/// the library has faults that a damaged file sets off.
/// Errors: Error "FILE: ..." when the file is missing, no HDF5, damaged, holds links that leave it
/// or lead in a circle, or sizes that it cannot hold (looked at before memory is taken).
class Hdf5Reader {
 public:
  explicit Hdf5Reader(const std::string& path);
  /// The same from bytes; `name` stands for the file in messages.
  Hdf5Reader(const std::string& name, const std::vector<uint8_t>& bytes);

  const std::string& name() const { return name_; }
  bool has_group(const std::string& object) const;
  bool has_dataset(const std::string& object) const;
  /// Names right below a group, sorted; empty when there is no such group.
  std::vector<std::string> children(const std::string& group) const;
  /// Type and shape of a dataset. All below: Error when it is missing or not as asked.
  const Hdf5Value& dataset(const std::string& object) const;

  /// Numbers of exactly this type and shape; -1 in `shape` takes any extent. The pointer lives as
  /// long as the reader.
  template <class T>
  const T* view(const std::string& object, const std::vector<int64_t>& shape) const {
    return static_cast<const T*>(checked(object, hdf5_type_of<T>(), shape).data.get());
  }
  template <class T>
  std::vector<T> read(const std::string& object, const std::vector<int64_t>& shape) const {
    const T* values = view<T>(object, shape);
    int64_t count = 1;
    for (const int64_t extent : dataset(object).shape) count *= extent;
    return std::vector<T>(values, values + count);
  }
  /// A list of strings; `count` as an extent above.
  std::vector<std::string> read_texts(const std::string& object, int64_t count = -1) const;

  bool has_attribute(const std::string& object, const std::string& name) const;
  std::string text_attribute(const std::string& object, const std::string& name) const;
  int64_t int_attribute(const std::string& object, const std::string& name) const;
  double number_attribute(const std::string& object, const std::string& name) const;
  std::vector<std::string> texts_attribute(const std::string& object,
                                           const std::string& name) const;

 private:
  const Hdf5Value& checked(const std::string& object, Hdf5Type type,
                           const std::vector<int64_t>& shape) const;
  const Hdf5Value& attribute_of(const std::string& object, const std::string& name) const;

  std::string name_;
  Hdf5Objects objects_;
};

}  // namespace gliograd::files
