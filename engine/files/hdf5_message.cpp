#include "engine/files/hdf5_message.hpp"

#include <cstring>

namespace gliograd::files {
namespace {

constexpr size_t kAlignment = 64;

class Packer {
 public:
  explicit Packer(Reply& reply) : reply_(reply) {}

  void number(uint64_t value) { reply_.append(&value, sizeof value); }
  void text(const std::string& value) {
    number(value.size());
    reply_.append(value.data(), value.size());
  }
  void value(const Hdf5Value& value) {
    number(static_cast<uint64_t>(value.type));
    number(value.shape.size());
    for (const int64_t extent : value.shape) number(static_cast<uint64_t>(extent));
    number(value.texts.size());
    for (const std::string& one : value.texts) text(one);
    number(value.bytes);
    reply_.align(kAlignment);
    if (value.bytes > 0) reply_.append(value.data.get(), value.bytes);
  }

 private:
  Reply& reply_;
};

class Unpacker {
 public:
  Unpacker(const std::string& name, const SharedBytes& message) : name_(name), message_(message) {}

  bool at_end() const { return at_ == message_.size; }
  const uint8_t* take(uint64_t size) {
    if (size > message_.size - at_) throw Error(name_ + ": damaged");
    const uint8_t* from = message_.data.get() + at_;
    at_ += size;
    return from;
  }
  uint64_t number() {
    uint64_t value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  std::string text() {
    const uint64_t size = number();
    return std::string(reinterpret_cast<const char*>(take(size)), size);
  }
  Hdf5Value value() {
    Hdf5Value value;
    const uint64_t type = number();
    if (type > static_cast<uint64_t>(Hdf5Type::other)) throw Error(name_ + ": damaged");
    value.type = static_cast<Hdf5Type>(type);
    const bool is_number = size_of(value.type) > 0;
    uint64_t count = static_cast<uint64_t>(size_of(value.type));  // bytes that the shape says
    for (uint64_t rank = number(); rank > 0; --rank) {
      const uint64_t extent = number();
      value.shape.push_back(static_cast<int64_t>(extent));
      const bool overflow = __builtin_mul_overflow(count, extent, &count);
      if (value.shape.back() < 0 || (is_number && overflow)) throw Error(name_ + ": damaged");
    }
    for (uint64_t texts = number(); texts > 0; --texts) value.texts.push_back(text());
    value.bytes = number();
    // An empty dataspace has a shape of one value and no bytes; none of our readers takes it.
    if (is_number && value.bytes != count) value.type = Hdf5Type::other;
    take((kAlignment - at_ % kAlignment) % kAlignment);
    const uint8_t* data = take(value.bytes);
    value.data = std::shared_ptr<const void>(message_.data, data);
    return value;
  }

 private:
  const std::string& name_;
  const SharedBytes& message_;
  uint64_t at_ = 0;
};

}  // namespace

void decode_hdf5_request(const std::vector<uint8_t>& bytes, Reply& reply) {
  Packer packer(reply);
  for (const auto& [path, object] : read_hdf5(bytes)) {
    packer.text(path);
    packer.number(object.is_group ? 1 : 0);
    packer.value(object.value);
    packer.number(object.attributes.size());
    for (const auto& [name, value] : object.attributes) {
      packer.text(name);
      packer.value(value);
    }
  }
}

Hdf5Objects unpack_objects(const std::string& name, const SharedBytes& message) {
  Hdf5Objects objects;
  Unpacker unpacker(name, message);
  while (!unpacker.at_end()) {
    Hdf5Object& object = objects[unpacker.text()];
    object.is_group = unpacker.number() != 0;
    object.value = unpacker.value();
    for (uint64_t count = unpacker.number(); count > 0; --count) {
      const std::string attribute = unpacker.text();
      object.attributes[attribute] = unpacker.value();
    }
  }
  return objects;
}

}  // namespace gliograd::files
