// Device memory of one type, for tests of kernels.
#pragma once
#include <vector>

#include "tests/simt/simt.hpp"

namespace gliograd::simt {

template <class T>
class Buffer {
 public:
  explicit Buffer(size_t n) : n_(n), data_(static_cast<T*>(allocate(n * sizeof(T)))) {}
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    copy_in(data_, values.data(), n_ * sizeof(T));
  }
  ~Buffer() { release(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* get() const { return data_; }
  std::vector<T> host() const {
    std::vector<T> out(n_);
    copy_out(out.data(), data_, n_ * sizeof(T));
    return out;
  }

 private:
  size_t n_;
  T* data_;
};

}  // namespace gliograd::simt
