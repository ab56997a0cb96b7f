#include "data/augment_policy.hpp"

#include <algorithm>
#include <charconv>

#include "engine/core/error.hpp"

namespace gliograd::data {
namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Small changes that leave a scan looking like another scan of the same head.
AugmentOptions light() {
  AugmentOptions o;
  o.flip_x_probability = 0.5f;
  o.rotation_probability = 0.8f, o.rotation_degrees = 20;
  o.scale_probability = 0.5f, o.scale_percent = 10;
  o.translation_probability = 0.5f, o.translation_pixels = 4;
  o.brightness_probability = 0.3f, o.brightness_percent = 20;
  o.contrast_probability = 0.3f, o.contrast_percent = 15;
  return o;
}

// Everything, each as strong as a scan still reads as one.
AugmentOptions full() {
  AugmentOptions o;
  o.flip_y_probability = 0.5f;
  o.flip_x_probability = 0.5f;
  o.rotation_probability = 0.9f, o.rotation_degrees = 180;
  o.scale_probability = 0.6f, o.scale_percent = 20;
  o.stretch_probability = 0.3f, o.stretch_percent = 10;
  o.shear_probability = 0.3f, o.shear_degrees = 8;
  o.translation_probability = 0.6f, o.translation_pixels = 6;
  o.elastic_probability = 0.4f, o.elastic_pixels = 6, o.elastic_spacing_pixels = 24;
  o.brightness_probability = 0.3f, o.brightness_percent = 30;
  o.contrast_probability = 0.3f, o.contrast_percent = 30;
  o.gamma_probability = 0.3f, o.gamma_percent = 30;
  o.bias_probability = 0.3f, o.bias_percent = 30;
  o.rician_probability = 0.15f, o.rician_percent = 25;
  o.noise_probability = 0.15f, o.noise_percent = 20;
  o.blur_probability = 0.2f, o.blur_pixels = 1;
  o.low_resolution_probability = 0.2f, o.low_resolution_factor = 2;
  o.cutout_probability = 0.2f, o.cutout_percent = 25;
  o.drop_probability = 0.05f;
  return o;
}

int32_t sequence_named(const Dataset& set, const std::string& name) {
  for (size_t c = 0; c < set.channels.size(); ++c) {
    if (set.channels[c] == name) return static_cast<int32_t>(c);
  }
  throw Error(
      concat_text(set.name, ": no sequence \"", name, "\"; there are: ", joined(set.channels)));
}

void take_sequences(const Dataset& set, const std::string& text, InputSpec& input) {
  std::vector<std::string> names;
  if (text == "all") {
    names = set.channels;
  } else if (text != "none") {
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      names.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  if (names.size() > static_cast<size_t>(kernels::kMaxSequences)) {
    throw Error(concat_text(set.name, ": at most ", kernels::kMaxSequences,
                            " sequences at a time; asked for ", names.size()));
  }
  for (const std::string& name : names) {
    if (std::count(names.begin(), names.end(), name) > 1) {
      throw Error(concat_text("sequence \"", name, "\" is asked for twice"));
    }
    input.sequences[input.sequence_count++] = sequence_named(set, name);
  }
}

MaskUse mask_named(const std::string& name) {
  if (name == "none") return MaskUse::none;
  if (name == "multiply") return MaskUse::multiply;
  if (name == "channel") return MaskUse::channel;
  if (name == "raw-zero") return MaskUse::raw_zero;
  throw Error(concat_text("mask must be none, multiply, channel or raw-zero; got \"", name, "\""));
}

}  // namespace

const std::vector<std::string>& augment_presets() {
  static const std::vector<std::string> names = {"off", "light", "full"};
  return names;
}

AugmentOptions augment_preset(const std::string& name) {
  if (name == "off") return {};
  if (name == "light") return light();
  if (name == "full") return full();
  throw Error(
      concat_text("no augmentation preset \"", name, "\"; there are: ", joined(augment_presets())));
}

void set_augment_option(AugmentOptions& options, const std::string& name,
                        const std::string& value) {
  if (name == "fill") {
    if (value != "zero" && value != "edge") {
      throw Error(concat_text("augment: fill must be zero or edge; got \"", value, "\""));
    }
    options.fill = value == "zero" ? Fill::zero : Fill::edge;
    return;
  }
  std::string known;
  for (const PolicyField& field : policy_fields()) {
    known += std::string(field.name) + ", ";
    if (name != field.name) continue;
    float number = 0;
    const char* end = value.data() + value.size();
    const auto read = std::from_chars(value.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end ||
        !(number >= field.low && number <= field.high)) {
      throw Error(concat_text("augment: ", name, " must be a number from ", field.low, " to ",
                              field.high, "; got \"", value, "\""));
    }
    options.*field.member = number;
    return;
  }
  throw Error(concat_text("augment: no setting \"", name, "\"; there are: ", known, "fill"));
}

std::vector<std::pair<std::string, std::string>> describe(const AugmentOptions& options) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const PolicyField& field : policy_fields()) {
    char text[32];
    const auto end = std::to_chars(text, text + sizeof(text), options.*field.member).ptr;
    all.emplace_back(field.name, std::string(text, end));
  }
  all.emplace_back("fill", options.fill == Fill::zero ? "zero" : "edge");
  return all;
}

InputOptions input_preset(const std::string& name) {
  if (name == "default") return {};
  if (name == "paper") return {.sequences = "flair", .mask = "raw-zero", .window = 80};
  throw Error(concat_text("no input \"", name, "\"; there are: default, paper"));
}

InputSpec input_spec(const Dataset& set, const InputOptions& options) {
  InputSpec input;
  take_sequences(set, options.sequences, input);
  input.mask = mask_named(options.mask);
  const int64_t stored = std::min(set.height, set.width);
  const int64_t window = options.window == 0 ? std::min<int64_t>(80, stored) : options.window;
  if (window < 1 || window > stored) {
    throw Error(concat_text(set.name, ": window must be 1 to ", stored,
                            " pixels, the size that is stored; got ", window));
  }
  input.height = input.width = static_cast<int32_t>(window);
  if (input.channels() == 0) {
    throw Error("the input is empty: without sequences the mask must be a channel");
  }
  if (input.mask != MaskUse::none && !set.has_masks()) {
    throw Error(concat_text(set.name, ": has no masks, and the input uses them (mask ",
                            options.mask, "); use mask none"));
  }
  return input;
}

Resident::Resident(const Dataset& set) {
  for (const Slice& slice : set.slices) patients_.push_back(slice.patient);
  for (const Patient& patient : set.patients) {
    for (const Affine& affine : patient.affine) scales_.push_back({affine.a, affine.b});
  }
  set_.images = set.images.data();
  set_.masks = set.has_masks() ? set.masks.data() : nullptr;
  set_.patients = patients_.data();
  set_.scales = scales_.data();
  set_.slices = set.slices_count;
  set_.height = set.height;
  set_.width = set.width;
  set_.channels = set.channel_count();
  set_.patient_count = set.patient_count();
}

}  // namespace gliograd::data
