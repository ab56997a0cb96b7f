// One descriptor of cuDNN's graph API: its attributes by C++ type, and every status checked.
#pragma once
#include <cudnn_graph.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base.hpp"

namespace gliograd::kernels::cudnn {

/// Errors: DeviceError with `what` and cuDNN's own words.
void check(cudnnStatus_t status, const std::string& what);

class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);

  void* raw() const { return handle_.get(); }

  Descriptor& set(cudnnBackendAttributeName_t name, int64_t value);
  /// Factors of operations that sum in f32. As CUDNN_TYPE_DOUBLE they are taken without complaint
  /// and read as the float in their lower half: 1.0 is 0.
  Descriptor& set(cudnnBackendAttributeName_t name, float value);
  Descriptor& set(cudnnBackendAttributeName_t name, bool value);
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnDataType_t value);
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<int64_t>& values);
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value);
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                  const void* values);
  /// No attribute can be set afterwards.
  Descriptor& finalize();

  int64_t count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const;
  int64_t integer(cudnnBackendAttributeName_t name) const;
  /// At most `most` enumerators or integers of type T.
  template <class T>
  std::vector<T> list(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                      int64_t most) const {
    std::vector<T> values(static_cast<size_t>(most));
    values.resize(static_cast<size_t>(get(name, type, most, values.data())));
    return values;
  }
  /// At most `most` descriptors of that type.
  std::vector<Descriptor> children(cudnnBackendAttributeName_t name,
                                   cudnnBackendDescriptorType_t type, int64_t most) const;

 private:
  int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t most,
              void* values) const;

  std::shared_ptr<void> handle_;
};

}  // namespace gliograd::kernels::cudnn
