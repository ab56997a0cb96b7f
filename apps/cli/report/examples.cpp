// Example slices: which patients are shown, and their pixels made fit for the eye.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "apps/cli/report/report_data.hpp"
#include "engine/core/error.hpp"

namespace gliograd::cli::report {
namespace {

constexpr int kPerGroup = 2;

// A patient's score, mean over repeats: of class 1, else of the patient's own class.
std::vector<double> mean_scores(const study::Gathered& patients) {
  std::vector<double> scores(patients.ids.size(), 0);
  for (const auto& repeat : patients.scores) {
    for (size_t i = 0; i < scores.size(); ++i) {
      const size_t column = repeat.size() == 1 ? 0 : static_cast<size_t>(patients.labels[i]);
      scores[i] += repeat[column][i] / static_cast<double>(patients.scores.size());
    }
  }
  return scores;
}

// Gray values from the 0.5 % to the 99.5 % point of what is not background, as 0 to 255.
std::vector<uint8_t> stretch(const std::vector<uint8_t>& values) {
  std::vector<uint8_t> sorted;
  for (const uint8_t v : values) {
    if (v > 0) sorted.push_back(v);
  }
  if (sorted.empty()) return values;
  std::sort(sorted.begin(), sorted.end());
  const double low = std::min<double>(sorted[sorted.size() / 200], 40);
  const double high = std::max<double>(sorted[sorted.size() - 1 - sorted.size() / 200], low + 1);
  std::vector<uint8_t> out;
  for (const uint8_t v : values) {
    out.push_back(
        static_cast<uint8_t>(std::lround(std::clamp(255 * (v - low) / (high - low), 0.0, 255.0))));
  }
  return out;
}

Example example_of(const data::Dataset& set, int64_t patient, int64_t window) {
  const int64_t first = data::first_slice(set, patient), last = data::first_slice(set, patient + 1);
  const auto largest =
      std::max_element(set.slices.begin() + first, set.slices.begin() + last,
                       [](const data::Slice& a, const data::Slice& b) { return a.area < b.area; });
  const int64_t n = largest - set.slices.begin(), channels = set.channel_count();
  Example example;
  example.patient = set.patients[patient].id;
  example.slice = largest->number;
  example.height = window > 0 ? std::min(window, set.height) : set.height;
  example.width = window > 0 ? std::min(window, set.width) : set.width;
  example.channels = set.channels;
  const int64_t y0 = (set.height - example.height) / 2, x0 = (set.width - example.width) / 2;
  for (int64_t c = 0; c < channels; ++c) {
    std::vector<uint8_t> gray;
    for (int64_t y = 0; y < example.height; ++y) {
      for (int64_t x = 0; x < example.width; ++x) {
        gray.push_back(set.image(n)[((y + y0) * set.width + x + x0) * channels + c]);
      }
    }
    example.gray.push_back(stretch(gray));
  }
  if (set.has_masks()) {
    for (int64_t y = 0; y < example.height; ++y) {
      const uint8_t* row = set.mask(n) + (y + y0) * set.width + x0;
      example.mask.insert(example.mask.end(), row, row + example.width);
    }
  }
  return example;
}

}  // namespace

std::vector<Example> choose_examples(const data::Dataset& set, const study::Gathered& patients,
                                     const std::vector<std::string>& classes, int64_t window) {
  std::map<std::string, int64_t> index;
  for (int64_t p = 0; p < set.patient_count(); ++p) index[set.patients[p].id] = p;
  const std::vector<double> scores = mean_scores(patients);
  const bool binary = patients.columns() == 1;
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return scores[a] > scores[b]; });

  std::vector<Example> examples;
  std::vector<bool> taken(scores.size(), false);
  const auto add_group = [&](bool high, const auto& belongs, const std::string& why) {
    int added = 0;
    for (size_t k = 0; k < order.size() && added < kPerGroup; ++k) {
      const size_t i = high ? order[k] : order[order.size() - 1 - k];
      if (taken[i] || !belongs(patients.labels[i])) continue;
      const auto found = index.find(patients.ids[i]);
      if (found == index.end()) {
        throw Error(concat_text(set.name, ": has no patient ", patients.ids[i]));
      }
      taken[i] = true;
      ++added;
      Example& example = examples.emplace_back(example_of(set, found->second, window));
      example.label = patients.labels[i];
      example.score = scores[i];
      example.why = why;
    }
  };
  if (binary) {
    const auto positive = [](int label) { return label == 1; };
    const auto negative = [](int label) { return label == 0; };
    add_group(true, positive, classes[1] + ", scored highest");
    add_group(false, positive, classes[1] + ", scored lowest");
    add_group(true, negative, classes[0] + ", scored highest");
    add_group(false, negative, classes[0] + ", scored lowest");
  } else {
    const auto any = [](int) { return true; };
    add_group(true, any, "own class scored highest");
    add_group(true, any, "own class scored highest");
    add_group(false, any, "own class scored lowest");
    add_group(false, any, "own class scored lowest");
  }
  return examples;
}

}  // namespace gliograd::cli::report
