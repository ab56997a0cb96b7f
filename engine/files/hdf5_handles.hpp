// Inside engine/files only: handles that close themselves and the one macro that checks a status.
#pragma once
#include <hdf5.h>

#include <string>
#include <utility>

#include "engine/files/hdf5_file.hpp"

namespace gliograd::files {

/// Keeps the library from printing and from loading filters out of other files. Per thread: call it
/// before each use.
void quiet_hdf5();
/// The library's own words for what just failed.
std::string hdf5_message();

class Hdf5Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Hdf5Handle() = default;
  Hdf5Handle(hid_t id, Close close) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept
      : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Hdf5Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }
  /// Closes now and tells whether that worked.
  herr_t close() { return id_ >= 0 ? close_(std::exchange(id_, -1)) : 0; }

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

/// The library's type in this machine's byte order; text and other have none.
hid_t native_type(Hdf5Type type);

}  // namespace gliograd::files

/// `call` gives a handle or status, negative on failure. Throws ErrorType "WHERE: library's words".
#define GG_HDF5(ErrorType, where, call)                                                     \
  [&] {                                                                                     \
    const auto gg_status = (call);                                                          \
    if (gg_status < 0) throw ErrorType((where) + ": " + ::gliograd::files::hdf5_message()); \
    return gg_status;                                                                       \
  }()
