#include "kernels/gpu/cudnn/descriptor.hpp"

#include <algorithm>

namespace gliograd::kernels::cudnn {

void check(cudnnStatus_t status, const std::string& what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char words[1024] = "";
  cudnnGetLastErrorString(words, sizeof words);
  throw DeviceError("cuDNN: " + what + ": " + cudnnGetErrorString(status) + ": " + words);
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t made = nullptr;
  check(cudnnBackendCreateDescriptor(type, &made), "descriptor " + std::to_string(type));
  handle_.reset(made, [](void* one) { cudnnBackendDestroyDescriptor(one); });
}

Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                            int64_t count, const void* values) {
  check(cudnnBackendSetAttribute(raw(), name, type, count, values),
        "attribute " + std::to_string(name));
  return *this;
}
Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, int64_t value) {
  return set(name, CUDNN_TYPE_INT64, 1, &value);
}
Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, float value) {
  return set(name, CUDNN_TYPE_FLOAT, 1, &value);
}
Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, bool value) {
  return set(name, CUDNN_TYPE_BOOLEAN, 1, &value);
}
Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, cudnnDataType_t value) {
  return set(name, CUDNN_TYPE_DATA_TYPE, 1, &value);
}
Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, const std::vector<int64_t>& values) {
  return set(name, CUDNN_TYPE_INT64, static_cast<int64_t>(values.size()), values.data());
}
Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, const Descriptor& value) {
  void* const one = value.raw();
  return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one);
}

Descriptor& Descriptor::finalize() {
  check(cudnnBackendFinalize(raw()), "finalize");
  return *this;
}

int64_t Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                        int64_t most, void* values) const {
  int64_t found = 0;
  check(cudnnBackendGetAttribute(raw(), name, type, most, &found, values),
        "attribute " + std::to_string(name));
  return most == 0 ? found : std::min(found, most);
}

int64_t Descriptor::count(cudnnBackendAttributeName_t name,
                          cudnnBackendAttributeType_t type) const {
  return get(name, type, 0, nullptr);
}

int64_t Descriptor::integer(cudnnBackendAttributeName_t name) const {
  int64_t value = 0;
  get(name, CUDNN_TYPE_INT64, 1, &value);
  return value;
}

std::vector<Descriptor> Descriptor::children(cudnnBackendAttributeName_t name,
                                             cudnnBackendDescriptorType_t type,
                                             int64_t most) const {
  std::vector<Descriptor> made;
  std::vector<void*> raws;
  for (int64_t i = 0; i < most; ++i) raws.push_back(made.emplace_back(type).raw());
  const int64_t found = get(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, raws.data());
  made.erase(made.begin() + found, made.end());
  return made;
}

}  // namespace gliograd::kernels::cudnn
