#include "data/readers/prepared_set.hpp"

#include <algorithm>
#include <cmath>

#include "engine/core/error.hpp"
#include "engine/files/hdf5_file.hpp"

namespace gliograd::data {
namespace {

constexpr char kFormat[] = "gliograd.prepared";
constexpr int64_t kVersion = 1;
constexpr int64_t kLargestSide = 1 << 15;  // pixels

using files::Hdf5Reader;
using files::Hdf5Writer;

/// A column's name may hold any text; an object's may not hold "/" nor be ".".
std::string escaped(const std::string& name) {
  std::string out;
  for (const char c : name) {
    if (c == '/' || c == '%' || c == '.') {
      constexpr char kDigits[] = "0123456789ABCDEF";
      out += {'%', kDigits[static_cast<uint8_t>(c) >> 4], kDigits[c & 15]};
    } else {
      out += c;
    }
  }
  return out;
}

std::string unescaped(const std::string& name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const std::string code = name.substr(i, 3);
    const char c = code == "%2F" ? '/' : code == "%25" ? '%' : code == "%2E" ? '.' : 0;
    out += c != 0 ? c : name[i];
    if (c != 0) i += 2;
  }
  return out;
}

template <class Get>
auto gather(const std::vector<Patient>& patients, const Get& get) {
  std::vector<std::decay_t<decltype(get(patients[0]))>> values;
  for (const Patient& patient : patients) values.push_back(get(patient));
  return values;
}

/// `columns` keeps their order, which the file's own index does not.
template <class Column>
void write_order(Hdf5Writer& writer, const std::string& group, const std::vector<Column>& columns) {
  writer.group(group);
  std::vector<std::string> names;
  for (const Column& column : columns) names.push_back(column.name);
  writer.attribute(group, "columns", names);
}

void write_numbers(Hdf5Writer& writer, const std::string& group,
                   const std::vector<CovariateColumn>& columns) {
  write_order(writer, group, columns);
  for (const CovariateColumn& column : columns) {
    writer.write(group + "/" + escaped(column.name), column.values);
  }
}

void write_patients(Hdf5Writer& writer, const Dataset& set) {
  const int64_t p = set.patient_count(), c = set.channel_count();
  writer.write("/patients/id", gather(set.patients, [](const Patient& x) { return x.id; }));
  writer.write("/patients/site", gather(set.patients, [](const Patient& x) { return x.site; }));
  writer.write("/patients/identity",
               gather(set.patients, [](const Patient& x) { return x.identity; }));
  std::vector<uint8_t> present;
  std::vector<float> affine, fingerprint;
  for (const Patient& patient : set.patients) {
    present.insert(present.end(), patient.present.begin(), patient.present.end());
    for (const Affine& one : patient.affine) affine.insert(affine.end(), {one.a, one.b});
    fingerprint.insert(fingerprint.end(), patient.fingerprint.begin(), patient.fingerprint.end());
  }
  writer.write("/patients/present", {p, c}, present.data());
  writer.write("/patients/affine", {p, c, 2}, affine.data());
  writer.write("/patients/fingerprint", {p, kFingerprintSize}, fingerprint.data());
  write_numbers(writer, "/patients/shape", set.shape);
}

void write_slices(Hdf5Writer& writer, const Dataset& set) {
  std::vector<int32_t> patient, number, area, box, origin;
  for (const Slice& slice : set.slices) {
    patient.push_back(slice.patient);
    number.push_back(slice.number);
    area.push_back(slice.area);
    box.insert(box.end(), slice.box.begin(), slice.box.end());
    origin.insert(origin.end(), slice.origin.begin(), slice.origin.end());
  }
  writer.write("/slices/patient", patient);
  writer.write("/slices/number", number);
  writer.write("/slices/area", area);
  writer.write("/slices/box", {set.slices_count, 4}, box.data());
  writer.write("/slices/origin", {set.slices_count, 2}, origin.data());
}

/// Names of the datasets in a group, in the order that the attribute `columns` gives; those it does
/// not name come last, sorted.
std::vector<std::string> columns_of(const Hdf5Reader& reader, const std::string& group) {
  std::vector<std::string> order;
  if (reader.has_attribute(group, "columns")) {
    for (const std::string& name : reader.texts_attribute(group, "columns")) {
      order.push_back(escaped(name));
    }
  }
  std::vector<std::string> names = reader.children(group);
  const auto rank = [&](const std::string& name) {
    return std::find(order.begin(), order.end(), name) - order.begin();
  };
  std::stable_sort(names.begin(), names.end(),
                   [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
  return names;
}

std::vector<CovariateColumn> read_numbers(const Hdf5Reader& reader, const std::string& group,
                                          int64_t patients) {
  std::vector<CovariateColumn> columns;
  for (const std::string& name : columns_of(reader, group)) {
    columns.push_back(
        {unescaped(name), reader.read<double>(concat_text(group, "/", name), {patients})});
  }
  return columns;
}

void read_patients(const Hdf5Reader& reader, Dataset& set) {
  const std::vector<std::string> ids = reader.read_texts("/patients/id");
  const int64_t p = static_cast<int64_t>(ids.size()), c = set.channel_count();
  const std::vector<std::string> sites = reader.read_texts("/patients/site", p);
  const std::vector<std::string> identities = reader.read_texts("/patients/identity", p);
  const auto* present = reader.view<uint8_t>("/patients/present", {p, c});
  const auto* affine = reader.view<float>("/patients/affine", {p, c, 2});
  const auto* fingerprint = reader.view<float>("/patients/fingerprint", {p, kFingerprintSize});
  for (int64_t i = 0; i < p; ++i) {
    Patient patient;
    patient.id = ids[i];
    patient.site = sites[i];
    patient.identity = identities[i];
    for (int64_t k = i * c; k < (i + 1) * c; ++k) {
      if (present[k] > 1) {
        throw Error(set.name + ": /patients/present must be 0 or 1; patient " + ids[i]);
      }
      patient.present.push_back(present[k]);
      patient.affine.push_back({affine[2 * k], affine[2 * k + 1]});
    }
    std::copy_n(fingerprint + i * kFingerprintSize, kFingerprintSize, patient.fingerprint.begin());
    for (const float value : patient.fingerprint) {
      if (!std::isfinite(value)) {
        throw Error(set.name + ": the fingerprint of patient " + ids[i] + " is not finite");
      }
    }
    set.patients.push_back(std::move(patient));
  }
}

void read_slices(const Hdf5Reader& reader, Dataset& set) {
  const int64_t n = set.slices_count;
  const auto* patient = reader.view<int32_t>("/slices/patient", {n});
  const auto* number = reader.view<int32_t>("/slices/number", {n});
  const auto* area = reader.view<int32_t>("/slices/area", {n});
  const auto* box = reader.view<int32_t>("/slices/box", {n, 4});
  const auto* origin = reader.view<int32_t>("/slices/origin", {n, 2});
  for (int64_t i = 0; i < n; ++i) {
    Slice slice{.patient = patient[i], .number = number[i], .area = area[i]};
    std::copy_n(box + 4 * i, 4, slice.box.begin());
    std::copy_n(origin + 2 * i, 2, slice.origin.begin());
    const bool ordered = slice.box[0] >= 0 && slice.box[1] >= 0 && slice.box[2] >= slice.box[0] &&
                         slice.box[3] >= slice.box[1];
    if (!ordered) throw Error(set.name + ": the box of slice " + std::to_string(i) + " is no box");
    set.slices.push_back(slice);
  }
}

void check_header(const Hdf5Reader& reader) {
  const std::string& name = reader.name();
  if (!reader.has_attribute("/", "format")) throw Error(name + ": is no prepared set of gliograd");
  const std::string format = reader.text_attribute("/", "format");
  if (format != kFormat) {
    throw Error(name + ": must be of format " + kFormat + "; it is " + format);
  }
  const int64_t version = reader.int_attribute("/", "version");
  if (version != kVersion) {
    throw Error(name + ": is a prepared set of version " + std::to_string(version) +
                "; this program reads version " + std::to_string(kVersion));
  }
}

}  // namespace

void write_prepared(const Dataset& set, const std::string& path, const Provenance& provenance) {
  check_dataset(set);
  Hdf5Writer writer(path, set.images.size() + set.masks.size());
  writer.attribute("/", "format", kFormat);
  writer.attribute("/", "version", kVersion);
  writer.attribute("/", "digest", set.digest);
  for (const auto& [name, value] : provenance) writer.attribute("/", name, value);
  const std::vector<int64_t> pixels = {set.slices_count, set.height, set.width};
  writer.write("/images", {pixels[0], pixels[1], pixels[2], set.channel_count()},
               set.images.data());
  if (set.has_masks()) writer.write("/masks", pixels, set.masks.data());
  writer.write("/channels", set.channels);
  write_slices(writer, set);
  write_patients(writer, set);
  write_order(writer, "/labels", set.labels);
  for (const LabelColumn& column : set.labels) {
    const std::string object = "/labels/" + escaped(column.name);
    writer.write(object, column.values);
    writer.attribute(object, "classes", column.classes);
  }
  write_numbers(writer, "/covariates", set.covariates);
  writer.commit();
}

Dataset read_prepared(const std::string& path) {
  const Hdf5Reader reader(path);
  check_header(reader);
  Dataset set;
  set.name = path;
  set.digest = reader.text_attribute("/", "digest");
  set.channels = reader.read_texts("/channels");
  const std::vector<int64_t> shape = reader.dataset("/images").shape;
  set.images = reader.read<uint8_t>("/images", {-1, -1, -1, set.channel_count()});
  set.slices_count = shape[0];
  set.height = shape[1];
  set.width = shape[2];
  if (set.height > kLargestSide || set.width > kLargestSide) {
    throw Error(path + ": /images are larger than " + std::to_string(kLargestSide) + " pixels");
  }
  if (reader.has_dataset("/masks")) {
    set.masks = reader.read<uint8_t>("/masks", {set.slices_count, set.height, set.width});
    if (std::any_of(set.masks.begin(), set.masks.end(), [](uint8_t v) { return v > 1; })) {
      throw Error(path + ": /masks must be 0 or 1");
    }
  }
  read_patients(reader, set);
  read_slices(reader, set);
  for (const std::string& name : columns_of(reader, "/labels")) {
    const std::string object = "/labels/" + name;
    set.labels.push_back({unescaped(name), reader.texts_attribute(object, "classes"),
                          reader.read<int32_t>(object, {set.patient_count()})});
  }
  set.covariates = read_numbers(reader, "/covariates", set.patient_count());
  set.shape = read_numbers(reader, "/patients/shape", set.patient_count());
  try {
    check_dataset(set);
  } catch (const Error& error) {  // of the file, not of our code: one line
    const std::string text = error.what();
    throw Error(text.substr(0, text.find('\n')));
  }
  return set;
}

}  // namespace gliograd::data
