// What memory is in use for, so that running out of it can be told in words.
#pragma once
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "engine/core/dtype.hpp"
#include "engine/core/shape.hpp"

namespace gliograd {

/// One tensor's memory.
struct BlockUse {
  Shape shape;
  DType dtype = DType::f32;
  const char* op = nullptr;  // at work when it was made; null: none, it is weights or data

  int64_t bytes() const { return shape.size() * size_of(dtype); }
};
/// "conv [32, 80, 80, 16] bf16"
std::string to_string(const BlockUse& use);

/// The tensors of an arena and its siblings. Thread-safe.
class LiveBlocks {
 public:
  /// Returns the number under which it is removed.
  size_t add(const BlockUse& use);
  void remove(size_t number);
  /// Names the op that is at work from now on (a literal, or null) and returns the one before.
  const char* set_op(const char* op);
  const char* op() const;
  /// "20.5 GB in use: 4 x conv [4096, 128, 128, 16] bf16 8.6 GB, ...": tensors of one op, shape and
  /// type together, the `count` largest of them.
  std::string largest(size_t count) const;

 private:
  mutable std::mutex mutex_;
  std::vector<BlockUse> uses_;  // an empty shape's number is free
  std::vector<bool> live_;
  std::vector<size_t> free_;
  const char* op_ = nullptr;
};

/// "512 B", "1.5 kB", "20.5 GB": decimal units.
std::string bytes_text(int64_t bytes);

}  // namespace gliograd
