// Parameter: a trained tensor: its name, master copy and gradient, and its cached copies.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "engine/tensor/tensor.hpp"

namespace gliograd {

class Tape;

class Parameter {
 public:
  Parameter() = default;
  /// `master` is f32, or f64 in a network built for the reference. The gradient has its type.
  Parameter(std::string name, Tensor master);

  std::string name;  // dotted: "features.0.conv.weight"
  Tensor master;
  Tensor gradient;            // same shape and type; made by the first tape that needs it
  bool has_gradient = false;  // false: the next backward pass overwrites instead of adding
  bool trainable = true;      // false: frozen, no gradient is computed
  bool decay = true;          // whether weight decay applies (not to biases and batch norm)

  /// The handle of this parameter in the tape's compute type: the master, or a copy that changes in
  /// place with it. Gradients flow to it when trainable.
  Tensor on(Tape& tape);
  /// As on(), but f32 where the tape computes in 16 bits.
  Tensor on_wide(Tape& tape);

  /// To be called after every change of `master`; cached copies of older versions are made anew.
  void bump() { ++version_; }
  /// The copy that on() hands out, where it is not the master and holds its values; else undefined.
  Tensor copy() const { return copy_version_ == version_ ? copy_ : Tensor{}; }
  /// After a change of `master` that changed copy() alike.
  void bump_with_copy() { copy_version_ = ++version_; }
  uint64_t version() const { return version_; }
  /// A cached copy that is valid for one version: packed weights. `make` is called when the cached
  /// one is missing or stale. `key` names the kind of copy (dtype, layout, stream).
  template <class Make>
  const Tensor& cached(const std::string& key, const Make& make) {
    Cached& slot = cache_[key];
    if (!slot.tensor.defined() || slot.version != version_) {
      slot.tensor = {};  // first, so that the new copy can take its memory
      slot = {make(), version_};
    }
    return slot.tensor;
  }

 private:
  struct Cached {
    Tensor tensor;
    uint64_t version = 0;
  };
  Tensor in_type(Tape& tape);

  uint64_t version_ = 1;
  Tensor copy_;  // in the type of the newest tape that was not the master's
  uint64_t copy_version_ = 0;
  std::map<std::string, Cached> cache_;  // one stream trains a network at a time
};

}  // namespace gliograd
