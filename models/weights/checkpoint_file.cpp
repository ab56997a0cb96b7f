#include "models/weights/checkpoint_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/files/hdf5_file.hpp"
#include "engine/tensor/layout.hpp"
#include "models/refuse.hpp"

namespace gliograd::models {
namespace {

using files::Hdf5Reader;
using files::Hdf5Type;
using files::Hdf5Value;
using files::Hdf5Writer;

constexpr const char* kFormat = "gliograd.checkpoint";
constexpr int64_t kVersion = 1;
constexpr int64_t kFingerprint = static_cast<int64_t>(SeenRecord::Fingerprint{}.size());

// Index of the first value that is NaN or infinite, or -1.
int64_t first_not_finite(const Tensor& x) {
  for (int64_t i = 0; i < x.size(); ++i) {
    if (x.dtype == DType::f64 && !std::isfinite(x.at<double>(i))) return i;
    if (x.dtype == DType::f32 && !std::isfinite(x.at<float>(i))) return i;
  }
  return -1;
}

void check_finite(const std::string& file, const std::string& object, const Tensor& x) {
  const int64_t at = first_not_finite(x);
  GG_REFUSE_UNLESS(at < 0, file, ": ", object, " holds NaN or infinity, first at value ", at);
}

void write_tensors(Hdf5Writer& out, const std::string& path, const std::string& group,
                   std::vector<NamedTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const NamedTensor& a, const NamedTensor& b) { return a.name < b.name; });
  out.group(group);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string object = concat_text(group, "/", tensors[i].name);
    GG_REFUSE_UNLESS(!tensors[i].name.empty() && tensors[i].name.find('/') == std::string::npos,
                     path, ": '", tensors[i].name, "' is no name of a tensor");
    GG_REFUSE_UNLESS(i == 0 || tensors[i].name != tensors[i - 1].name, path, ": ", object,
                     " was given twice");
    const Tensor x = to_layout(tensors[i].value, Layout::nhwc);
    check_finite(path, object, x);
    std::vector<int64_t> shape;
    for (int d = 0; d < x.rank(); ++d) shape.push_back(x.dim(d));
    switch (x.dtype) {
      case DType::f64: out.write(object, shape, x.data<double>()); break;
      case DType::f32: out.write(object, shape, x.data<float>()); break;
      case DType::u8: out.write(object, shape, x.data<uint8_t>()); break;
      case DType::i32: out.write(object, shape, x.data<int32_t>()); break;
      case DType::i64: out.write(object, shape, x.data<int64_t>()); break;
      default:
        GG_REFUSE_UNLESS(false, path, ": ", object, " is ", x.dtype, ", which files do not hold");
    }
  }
}

template <class T>
Tensor copy_of(const Hdf5Value& value, Stream& stream, const Shape& shape) {
  Tensor x = empty(stream, shape, dtype_of<T>);
  if (x.size() > 0) std::memcpy(x.raw(), value.data.get(), x.size() * sizeof(T));
  return x;
}

std::vector<NamedTensor> read_tensors(const Hdf5Reader& in, const std::string& group,
                                      bool floats_only, Stream& stream) {
  GG_REFUSE_UNLESS(in.has_group(group), in.name(), ": has no ", group);
  std::vector<NamedTensor> tensors;
  for (const std::string& name : in.children(group)) {
    const std::string object = concat_text(group, "/", name);
    const Hdf5Value& value = in.dataset(object);
    GG_REFUSE_UNLESS(value.shape.size() <= Shape::kMaxRank, in.name(), ": ", object, " has ",
                     value.shape.size(), " axes; at most ", Shape::kMaxRank, " are possible");
    const Shape shape = Shape::of(value.shape.data(), static_cast<int>(value.shape.size()));
    GG_REFUSE_UNLESS(!floats_only || value.type == Hdf5Type::f32 || value.type == Hdf5Type::f64,
                     in.name(), ": ", object, " must be f32 or f64; got ", name_of(value.type));
    Tensor x;
    switch (value.type) {
      case Hdf5Type::f64: x = copy_of<double>(value, stream, shape); break;
      case Hdf5Type::f32: x = copy_of<float>(value, stream, shape); break;
      case Hdf5Type::u8: x = copy_of<uint8_t>(value, stream, shape); break;
      case Hdf5Type::i32: x = copy_of<int32_t>(value, stream, shape); break;
      case Hdf5Type::i64: x = copy_of<int64_t>(value, stream, shape); break;
      default:
        GG_REFUSE_UNLESS(false, in.name(), ": ", object,
                         " must hold numbers of a tensor's type; got ", name_of(value.type));
    }
    check_finite(in.name(), object, x);
    tensors.push_back({name, std::move(x)});
  }
  return tensors;
}

std::vector<std::string> to_pairs(const std::string& path,
                                  const std::map<std::string, std::string>& map) {
  std::vector<std::string> pairs;
  for (const auto& [key, value] : map) {
    GG_REFUSE_UNLESS(!key.empty() && key.find('=') == std::string::npos, path, ": '", key,
                     "' is no name of an option or note");
    pairs.push_back(concat_text(key, "=", value));
  }
  return pairs;
}

std::map<std::string, std::string> from_pairs(const Hdf5Reader& in, const std::string& attribute) {
  std::map<std::string, std::string> map;
  for (const std::string& pair : in.texts_attribute("/", attribute)) {
    const size_t at = pair.find('=');
    GG_REFUSE_UNLESS(at != std::string::npos && at > 0 && map.count(pair.substr(0, at)) == 0,
                     in.name(), ": attribute ", attribute,
                     " must hold key=value, each key once; got '", pair, "'");
    map[pair.substr(0, at)] = pair.substr(at + 1);
  }
  return map;
}

int64_t ranged(const Hdf5Reader& in, const std::string& attribute, int64_t high) {
  const int64_t value = in.int_attribute("/", attribute);
  GG_REFUSE_UNLESS(value >= 0 && value <= high, in.name(), ": attribute ", attribute,
                   " must be from 0 to ", high, "; got ", value);
  return value;
}

void write_seen(Hdf5Writer& out, const std::string& path, const SeenRecord& seen) {
  const size_t count = seen.ids.size();
  GG_REFUSE_UNLESS(seen.identities.size() == count && seen.fingerprints.size() == count, path, ": ",
                   count, " patients seen, with ", seen.identities.size(), " identities and ",
                   seen.fingerprints.size(), " fingerprints");
  out.group("/seen");
  out.attribute("/seen", "provenance", seen.provenance_unknown ? "unknown" : "known");
  out.write("/seen/id", seen.ids);
  out.write("/seen/identity", seen.identities);
  std::vector<float> fingerprints;
  for (const SeenRecord::Fingerprint& one : seen.fingerprints) {
    for (const float value : one) {
      GG_REFUSE_UNLESS(std::isfinite(value), path, ": a fingerprint holds NaN or infinity");
      fingerprints.push_back(value);
    }
  }
  out.write("/seen/fingerprint", {static_cast<int64_t>(count), kFingerprint}, fingerprints.data());
}

SeenRecord read_seen(const Hdf5Reader& in) {
  SeenRecord seen;
  const std::string provenance = in.text_attribute("/seen", "provenance");
  GG_REFUSE_UNLESS(provenance == "known" || provenance == "unknown", in.name(),
                   ": attribute provenance of /seen must be known or unknown; got '", provenance,
                   "'");
  seen.provenance_unknown = provenance == "unknown";
  seen.ids = in.read_texts("/seen/id");
  const int64_t count = static_cast<int64_t>(seen.ids.size());
  seen.identities = in.read_texts("/seen/identity", count);
  const float* values = in.view<float>("/seen/fingerprint", {count, kFingerprint});
  for (int64_t i = 0; i < count; ++i) {
    SeenRecord::Fingerprint& one = seen.fingerprints.emplace_back();
    for (int64_t j = 0; j < kFingerprint; ++j) {
      one[j] = values[i * kFingerprint + j];
      GG_REFUSE_UNLESS(std::isfinite(one[j]), in.name(),
                       ": /seen/fingerprint holds NaN or infinity, first in row ", i);
    }
  }
  return seen;
}

}  // namespace

void write_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  Hdf5Writer out(path);
  out.attribute("/", "format", kFormat);
  out.attribute("/", "version", kVersion);
  out.attribute("/", "architecture", checkpoint.architecture);
  out.attribute("/", "options", to_pairs(path, checkpoint.settings));
  out.attribute("/", "channels", checkpoint.input.channels);
  out.attribute("/", "mask", checkpoint.input.mask);
  out.attribute("/", "window", checkpoint.input.window);
  out.attribute("/", "normalization", checkpoint.input.normalization);
  out.attribute("/", "step", checkpoint.step);
  out.attribute("/", "epoch", checkpoint.epoch);
  out.attribute("/", "seed", static_cast<int64_t>(checkpoint.seed));
  out.attribute("/", "notes", to_pairs(path, checkpoint.notes));
  out.write("/classes", checkpoint.classes);
  write_tensors(out, path, "/parameters", checkpoint.parameters);
  write_tensors(out, path, "/buffers", checkpoint.buffers);
  write_tensors(out, path, "/optimizer", checkpoint.optimizer);
  write_seen(out, path, checkpoint.seen);
  out.commit();
}

Checkpoint read_checkpoint(const std::string& path, Stream& stream) {
  const Hdf5Reader in(path);
  GG_REFUSE_UNLESS(in.has_attribute("/", "format") && in.text_attribute("/", "format") == kFormat,
                   path, ": is no checkpoint (its format must be ", kFormat, ")");
  const int64_t version = in.int_attribute("/", "version");
  GG_REFUSE_UNLESS(version == kVersion, path, ": is a checkpoint of version ", version,
                   "; this program reads version ", kVersion);
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  Checkpoint checkpoint;
  checkpoint.source = path;
  checkpoint.architecture = in.text_attribute("/", "architecture");
  checkpoint.settings = from_pairs(in, "options");
  checkpoint.input.channels = in.texts_attribute("/", "channels");
  checkpoint.input.mask = in.text_attribute("/", "mask");
  checkpoint.input.window = ranged(in, "window", 1 << 20);
  checkpoint.input.normalization = in.text_attribute("/", "normalization");
  checkpoint.step = ranged(in, "step", kMost);
  checkpoint.epoch = ranged(in, "epoch", kMost);
  checkpoint.seed = static_cast<uint32_t>(ranged(in, "seed", std::numeric_limits<uint32_t>::max()));
  checkpoint.notes = from_pairs(in, "notes");
  checkpoint.classes = in.read_texts("/classes");
  checkpoint.parameters = read_tensors(in, "/parameters", true, stream);
  checkpoint.buffers = read_tensors(in, "/buffers", true, stream);
  checkpoint.optimizer = read_tensors(in, "/optimizer", false, stream);
  checkpoint.seen = read_seen(in);
  return checkpoint;
}

}  // namespace gliograd::models
