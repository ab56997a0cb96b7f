#include "data/readers/prepare.hpp"

#include <algorithm>
#include <cmath>

#include "data/fingerprint.hpp"
#include "data/leak_guard.hpp"
#include "data/robust_scale.hpp"
#include "data/shape_features.hpp"
#include "kernels/base.hpp"

namespace gliograd::data {
namespace {

struct MaskFacts {
  int64_t area = 0;
  double mean_row = 0, mean_column = 0;
  std::array<int32_t, 4> box{};
};

MaskFacts facts_of(const WholeSlice& slice) {
  MaskFacts facts;
  int64_t rows = 0, columns = 0;
  int64_t y0 = slice.height, x0 = slice.width, y1 = 0, x1 = 0;
  for (int64_t y = 0; y < slice.height && !slice.mask.empty(); ++y) {
    for (int64_t x = 0; x < slice.width; ++x) {
      if (slice.mask[y * slice.width + x] == 0) continue;
      ++facts.area;
      rows += y;
      columns += x;
      y0 = std::min(y0, y);
      x0 = std::min(x0, x);
      y1 = std::max(y1, y + 1);
      x1 = std::max(x1, x + 1);
    }
  }
  if (facts.area == 0) return facts;
  facts.mean_row = static_cast<double>(rows) / static_cast<double>(facts.area);
  facts.mean_column = static_cast<double>(columns) / static_cast<double>(facts.area);
  facts.box = {static_cast<int32_t>(y0), static_cast<int32_t>(x0), static_cast<int32_t>(y1),
               static_cast<int32_t>(x1)};
  return facts;
}

/// Copies the window whose corner is (row, column) of the source; zeros outside.
void copy_window(const uint8_t* source, int64_t height, int64_t width, int64_t channels,
                 int64_t row, int64_t column, int64_t out_height, int64_t out_width, uint8_t* out) {
  const int64_t from = std::max<int64_t>(0, -column);
  const int64_t to = std::min(out_width, width - column);
  for (int64_t y = 0; y < out_height; ++y) {
    const int64_t source_y = row + y;
    if (source_y < 0 || source_y >= height || from >= to) continue;
    std::copy_n(source + (source_y * width + column + from) * channels, (to - from) * channels,
                out + (y * out_width + from) * channels);
  }
}

void cut(const WholeSlice& slice, const MaskFacts& facts, int64_t channels,
         const CropOptions& options, Slice& record, uint8_t* image, uint8_t* mask) {
  if (options.crop == Crop::none) {
    std::copy(slice.pixels.begin(), slice.pixels.end(), image);
    if (mask != nullptr) std::copy(slice.mask.begin(), slice.mask.end(), mask);
    return;
  }
  if (options.crop == Crop::window) {
    const int64_t row = static_cast<int64_t>(std::nearbyint(facts.mean_row)) - options.size / 2;
    const int64_t column =
        static_cast<int64_t>(std::nearbyint(facts.mean_column)) - options.size / 2;
    record.origin = {static_cast<int32_t>(row), static_cast<int32_t>(column)};
    copy_window(slice.pixels.data(), slice.height, slice.width, channels, row, column, options.size,
                options.size, image);
    copy_window(slice.mask.data(), slice.height, slice.width, 1, row, column, options.size,
                options.size, mask);
    return;
  }
  const auto& [y0, x0, y1, x1] = facts.box;
  const double side = std::max(y1 - y0, x1 - x0) * (1 + 2 * options.margin);
  const double row = 0.5 * (y0 + y1 - side), column = 0.5 * (x0 + x1 - side);
  record.origin = {static_cast<int32_t>(std::floor(row)), static_cast<int32_t>(std::floor(column))};
  scale_square(slice, channels, row, column, side, options.size, image, mask);
}

MaskStack stack_of(const std::vector<WholeSlice>& slices) {
  MaskStack stack{static_cast<int64_t>(slices.size()), slices[0].height, slices[0].width, {}, {}};
  for (const WholeSlice& slice : slices) {
    stack.numbers.push_back(slice.number);
    stack.voxels.insert(stack.voxels.end(), slice.mask.begin(), slice.mask.end());
  }
  return stack;
}

void check_slices(const std::string& id, const std::vector<WholeSlice>& slices) {
  const auto size_text = [](const WholeSlice& slice) {
    return std::to_string(slice.width) + "x" + std::to_string(slice.height);
  };
  if (slices.empty()) throw Error("patient " + id + ": has no slices");
  for (size_t i = 1; i < slices.size(); ++i) {
    const WholeSlice &a = slices[i - 1], &b = slices[i];
    if (a.number == b.number) {
      throw Error("patient " + id + ": slice " + std::to_string(b.number) + " is there twice");
    }
    if (a.height != b.height || a.width != b.width) {
      throw Error("patient " + id + ": slices of several sizes, " + size_text(a) + " (slice " +
                  std::to_string(a.number) + ") and " + size_text(b) + " (slice " +
                  std::to_string(b.number) + ")");
    }
    if (a.mask.empty() != b.mask.empty()) {
      throw Error("patient " + id + ": slice " + std::to_string((a.mask.empty() ? a : b).number) +
                  " has no mask, others have one");
    }
  }
}

/// The mask's facts of the slice with tumor whose number is nearest to that of slice i, the lower
/// one of two; nullptr where no slice has tumor.
const MaskFacts* nearest_with_tumor(const std::vector<WholeSlice>& slices,
                                    const std::vector<MaskFacts>& facts, size_t i) {
  const MaskFacts* nearest = nullptr;
  int64_t least = 0;
  for (size_t k = 0; k < slices.size(); ++k) {
    const int64_t distance = std::abs(int64_t{slices[k].number} - slices[i].number);
    if (facts[k].area == 0 || (nearest != nullptr && distance >= least)) continue;
    nearest = &facts[k];
    least = distance;
  }
  return nearest;
}

}  // namespace

void scale_square(const WholeSlice& slice, int64_t channels, double row, double column, double side,
                  int64_t size, uint8_t* image, uint8_t* mask) {
  const double step = side / static_cast<double>(size);
  const int64_t samples = std::max<int64_t>(1, static_cast<int64_t>(std::ceil(step)));
  const auto value = [&](int64_t y, int64_t x, int64_t c) {
    const bool inside = y >= 0 && x >= 0 && y < slice.height && x < slice.width;
    return inside ? static_cast<double>(slice.pixels[(y * slice.width + x) * channels + c]) : 0.0;
  };
  const auto bilinear = [&](double y, double x, int64_t c) {
    const double fy = std::floor(y), fx = std::floor(x), ty = y - fy, tx = x - fx;
    const auto iy = static_cast<int64_t>(fy), ix = static_cast<int64_t>(fx);
    return (1 - ty) * ((1 - tx) * value(iy, ix, c) + tx * value(iy, ix + 1, c)) +
           ty * ((1 - tx) * value(iy + 1, ix, c) + tx * value(iy + 1, ix + 1, c));
  };
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      for (int64_t c = 0; c < channels; ++c) {
        double sum = 0;
        for (int64_t i = 0; i < samples * samples; ++i) {
          const int64_t sub_row = i / samples, sub_column = i % samples;
          const double dy = (static_cast<double>(sub_row) + 0.5) / static_cast<double>(samples);
          const double dx = (static_cast<double>(sub_column) + 0.5) / static_cast<double>(samples);
          sum += bilinear(row + (static_cast<double>(y) + dy) * step - 0.5,
                          column + (static_cast<double>(x) + dx) * step - 0.5, c);
        }
        image[(y * size + x) * channels + c] =
            static_cast<uint8_t>(std::lround(sum / static_cast<double>(samples * samples)));
      }
      if (mask == nullptr) continue;
      const auto my = static_cast<int64_t>(std::floor(row + (static_cast<double>(y) + 0.5) * step));
      const auto mx =
          static_cast<int64_t>(std::floor(column + (static_cast<double>(x) + 0.5) * step));
      const bool inside = my >= 0 && mx >= 0 && my < slice.height && mx < slice.width;
      mask[y * size + x] = inside ? slice.mask[my * slice.width + mx] : 0;
    }
  }
}

std::vector<uint8_t> present_channels(const std::vector<WholeSlice>& slices, int64_t channels,
                                      int64_t reference) {
  std::vector<uint8_t> present(static_cast<size_t>(channels), 1);
  for (int64_t c = 0; c < channels; ++c) {
    bool same = c != reference;
    for (const WholeSlice& slice : slices) {
      for (size_t i = 0; same && i < slice.pixels.size(); i += channels) {
        same = slice.pixels[i + c] == slice.pixels[i + reference];
      }
      if (!same) break;
    }
    if (same) present[c] = 0;
  }
  return present;
}

const char* name_of(Crop crop) {
  return crop == Crop::window ? "window" : crop == Crop::box ? "box" : "none";
}

Crop crop_of(const std::string& name) {
  for (const Crop crop : {Crop::window, Crop::box, Crop::none}) {
    if (name == name_of(crop)) return crop;
  }
  throw Error("--crop must be window, box or none; got " + name);
}

PreparedPatient prepare_patient(const Patient& patient, std::vector<WholeSlice> slices,
                                const CropOptions& options) {
  std::sort(slices.begin(), slices.end(),
            [](const WholeSlice& a, const WholeSlice& b) { return a.number < b.number; });
  check_slices(patient.id, slices);
  const auto channels = static_cast<int64_t>(patient.present.size());
  const bool has_masks = !slices[0].mask.empty();
  if (!has_masks && (options.tumor_only || options.crop != Crop::none)) {
    throw Error("patient " + patient.id + ": has no masks to cut windows by");
  }
  PreparedPatient out;
  out.patient = patient;
  if (has_masks) out.shape = shape_features(stack_of(slices));
  std::vector<MaskFacts> all;
  for (const WholeSlice& slice : slices) all.push_back(facts_of(slice));
  std::vector<MaskFacts> facts;
  std::vector<MaskFacts> places;  // whose centroid or box says where the slice is cut
  std::vector<ScaleSlice> kept;
  std::vector<FingerprintSlice> seen;
  std::vector<const WholeSlice*> sources;
  for (size_t i = 0; i < slices.size(); ++i) {
    const WholeSlice& slice = slices[i];
    const MaskFacts* place = &all[i];
    if (all[i].area == 0 && options.tumor_only) continue;
    if (all[i].area == 0 && options.crop != Crop::none) {
      place = nearest_with_tumor(slices, all, i);
      if (place == nullptr) return out;  // no tumor in any slice: no place to cut
    }
    facts.push_back(all[i]);
    places.push_back(*place);
    sources.push_back(&slice);
    kept.push_back({slice.pixels.data(), slice.height * slice.width});
    seen.push_back({slice.pixels.data(), slice.height, slice.width, channels,
                    has_masks ? slice.mask.data() : nullptr});
  }
  if (kept.empty()) return out;
  out.patient.affine = robust_scale(kept, channels);
  out.patient.fingerprint = fingerprint(seen);
  out.height = options.crop == Crop::none ? slices[0].height : options.size;
  out.width = options.crop == Crop::none ? slices[0].width : options.size;
  const int64_t pixels = out.height * out.width;
  out.images.assign(kept.size() * pixels * channels, 0);
  if (has_masks) out.masks.assign(kept.size() * pixels, 0);
  for (size_t i = 0; i < kept.size(); ++i) {
    Slice record;
    record.number = sources[i]->number;
    record.area = static_cast<int32_t>(facts[i].area);
    record.box = facts[i].box;
    cut(*sources[i], places[i], channels, options, record,
        out.images.data() + i * pixels * channels,
        has_masks ? out.masks.data() + i * pixels : nullptr);
    out.slices.push_back(record);
  }
  return out;
}

void leave_out_empty(std::vector<PreparedPatient>& patients, std::vector<std::string>& notes) {
  std::string names;
  int64_t count = 0;
  std::vector<PreparedPatient> rest;
  for (PreparedPatient& one : patients) {
    if (!one.slices.empty()) {
      rest.push_back(std::move(one));
    } else {
      names += (count++ == 0 ? "" : ", ") + one.patient.id;
    }
  }
  if (rest.empty()) throw Error("no slice of any patient has a tumor in its mask");
  if (count > 0) {
    notes.push_back(std::to_string(count) + " patients have no slice with tumor: " + names);
  }
  patients = std::move(rest);
}

Dataset join_patients(std::vector<PreparedPatient> patients, std::vector<std::string> channels) {
  std::sort(patients.begin(), patients.end(),
            [](const PreparedPatient& a, const PreparedPatient& b) {
              return a.patient.id < b.patient.id;
            });
  Dataset set;
  set.channels = std::move(channels);
  const int64_t c = set.channel_count();
  bool has_masks = !patients.empty() && !patients[0].masks.empty();
  for (size_t p = 0; p < patients.size(); ++p) {
    const PreparedPatient& one = patients[p];
    if (p > 0 && patients[p - 1].patient.id == one.patient.id) {
      throw Error("patient " + one.patient.id + ": is there twice");
    }
    if (one.masks.empty() == has_masks) {
      throw Error(
          "patient " + one.patient.id +
          (has_masks ? ": has no masks, others have some" : ": has masks, others have none"));
    }
    set.slices_count += static_cast<int64_t>(one.slices.size());
    set.height = std::max(set.height, one.height);
    set.width = std::max(set.width, one.width);
  }
  const int64_t pixels = set.height * set.width;
  set.images.assign(set.slices_count * pixels * c, 0);
  if (has_masks) set.masks.assign(set.slices_count * pixels, 0);
  int64_t n = 0;
  for (PreparedPatient& one : patients) {
    const auto row = static_cast<int32_t>((set.height - one.height) / 2);
    const auto column = static_cast<int32_t>((set.width - one.width) / 2);
    for (size_t i = 0; i < one.slices.size(); ++i, ++n) {
      Slice record = one.slices[i];
      record.patient = static_cast<int32_t>(set.patients.size());
      record.origin[0] -= row;
      record.origin[1] -= column;
      set.slices.push_back(record);
      const int64_t own = one.height * one.width;
      copy_window(one.images.data() + i * own * c, one.height, one.width, c, -row, -column,
                  set.height, set.width, set.images.data() + n * pixels * c);
      if (has_masks) {
        copy_window(one.masks.data() + i * own, one.height, one.width, 1, -row, -column, set.height,
                    set.width, set.masks.data() + n * pixels);
      }
    }
    one.images = {};  // the whole set is in memory once, not twice
    one.masks = {};
    for (size_t k = 0; k < one.shape.size(); ++k) {
      if (set.shape.size() <= k) set.shape.push_back({one.shape[k].first, {}});
      set.shape[k].values.push_back(one.shape[k].second);
    }
    set.patients.push_back(std::move(one.patient));
  }
  return set;
}

std::string site_of(const std::string& id) {
  const std::string identity = canonical_identity(id);
  return identity == kUnknownIdentity ? std::string() : identity.substr(5, 2);
}

}  // namespace gliograd::data
