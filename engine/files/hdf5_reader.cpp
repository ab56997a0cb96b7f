// Hdf5Reader: the content of a file as a worker read it, and the questions asked of it.
#include <cstring>

#include "engine/core/atomic_file.hpp"
#include "engine/files/hdf5_file.hpp"
#include "engine/files/hdf5_message.hpp"
#include "engine/files/worker.hpp"

namespace gliograd::files {

Hdf5Reader::Hdf5Reader(const std::string& path) : Hdf5Reader(path, read_bytes(path)) {}

Hdf5Reader::Hdf5Reader(const std::string& name, const std::vector<uint8_t>& bytes) : name_(name) {
  Worker worker;
  objects_ = unpack_objects(name, worker.run("hdf5", name, bytes));
}

bool Hdf5Reader::has_group(const std::string& object) const {
  const auto at = objects_.find(object);
  return at != objects_.end() && at->second.is_group;
}

bool Hdf5Reader::has_dataset(const std::string& object) const {
  const auto at = objects_.find(object);
  return at != objects_.end() && !at->second.is_group;
}

std::vector<std::string> Hdf5Reader::children(const std::string& group) const {
  const std::string prefix = group == "/" ? "/" : group + "/";
  std::vector<std::string> names;
  for (auto at = objects_.upper_bound(prefix);
       at != objects_.end() && at->first.compare(0, prefix.size(), prefix) == 0; ++at) {
    const std::string name = at->first.substr(prefix.size());
    if (name.find('/') == std::string::npos) names.push_back(name);
  }
  return names;
}

const Hdf5Value& Hdf5Reader::dataset(const std::string& object) const {
  if (!has_dataset(object)) throw Error(name_ + ": has no dataset " + object);
  return objects_.at(object).value;
}

const Hdf5Value& Hdf5Reader::checked(const std::string& object, Hdf5Type type,
                                     const std::vector<int64_t>& shape) const {
  const Hdf5Value& value = dataset(object);
  bool same = value.type == type && value.shape.size() == shape.size();
  for (size_t i = 0; same && i < shape.size(); ++i) {
    same = shape[i] < 0 || shape[i] == value.shape[i];
  }
  if (!same) {
    throw Error(name_ + ": " + object + " must be " + files::name_of(type) + " " +
                shape_text(shape) + "; found " + files::name_of(value.type) + " " +
                shape_text(value.shape));
  }
  return value;
}

std::vector<std::string> Hdf5Reader::read_texts(const std::string& object, int64_t count) const {
  return checked(object, Hdf5Type::text, {count}).texts;
}

bool Hdf5Reader::has_attribute(const std::string& object, const std::string& name) const {
  const auto at = objects_.find(object);
  return at != objects_.end() && at->second.attributes.count(name) != 0;
}

const Hdf5Value& Hdf5Reader::attribute_of(const std::string& object,
                                          const std::string& name) const {
  if (!has_attribute(object, name)) {
    throw Error(name_ + ": " + object + " has no attribute \"" + name + "\"");
  }
  return objects_.at(object).attributes.at(name);
}

std::string Hdf5Reader::text_attribute(const std::string& object, const std::string& name) const {
  const Hdf5Value& value = attribute_of(object, name);
  if (value.type != Hdf5Type::text || value.texts.size() != 1) {
    throw Error(name_ + ": attribute \"" + name + "\" of " + object + " must be one text");
  }
  return value.texts[0];
}

int64_t Hdf5Reader::int_attribute(const std::string& object, const std::string& name) const {
  const Hdf5Value& value = attribute_of(object, name);
  if (value.type != Hdf5Type::i64 || !value.shape.empty()) {
    throw Error(name_ + ": attribute \"" + name + "\" of " + object + " must be one integer");
  }
  return *static_cast<const int64_t*>(value.data.get());
}

double Hdf5Reader::number_attribute(const std::string& object, const std::string& name) const {
  const Hdf5Value& value = attribute_of(object, name);
  if (value.type == Hdf5Type::i64) return static_cast<double>(int_attribute(object, name));
  if (value.type != Hdf5Type::f64 || !value.shape.empty()) {
    throw Error(name_ + ": attribute \"" + name + "\" of " + object + " must be one number");
  }
  return *static_cast<const double*>(value.data.get());
}

std::vector<std::string> Hdf5Reader::texts_attribute(const std::string& object,
                                                     const std::string& name) const {
  const Hdf5Value& value = attribute_of(object, name);
  if (value.type != Hdf5Type::text) {
    throw Error(name_ + ": attribute \"" + name + "\" of " + object + " must be a list of texts");
  }
  return value.texts;
}

}  // namespace gliograd::files
