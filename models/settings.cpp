#include "models/settings.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "models/refuse.hpp"

namespace gliograd::models {
namespace {

// The whole text as a number; false when it is not one.
template <class T>
bool parse(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && at == end;
}

}  // namespace

SettingsReader::SettingsReader(std::string owner, const Settings& settings)
    : owner_(std::move(owner)), settings_(settings) {}

const std::string* SettingsReader::find(const std::string& key) {
  known_.insert(key);
  const auto found = settings_.find(key);
  return found == settings_.end() ? nullptr : &found->second;
}

int64_t SettingsReader::integer(const std::string& key, int64_t fallback, int64_t low,
                                int64_t high) {
  const std::string* text = find(key);
  if (text == nullptr) return fallback;
  int64_t value = 0;
  GG_REFUSE_UNLESS(parse(*text, value) && value >= low && value <= high, owner_, ": ", key,
                   " must be a whole number from ", low, " to ", high, "; got '", *text, "'");
  return value;
}

double SettingsReader::number(const std::string& key, double fallback, double low, double high) {
  const std::string* text = find(key);
  if (text == nullptr) return fallback;
  double value = 0;
  GG_REFUSE_UNLESS(parse(*text, value) && value >= low && value <= high, owner_, ": ", key,
                   " must be a number from ", low, " to ", high, "; got '", *text, "'");
  return value;
}

std::vector<int64_t> SettingsReader::integers(const std::string& key,
                                              const std::vector<int64_t>& fallback, int64_t low,
                                              int64_t high, size_t longest) {
  const std::string* text = find(key);
  if (text == nullptr) return fallback;
  std::vector<int64_t> values;
  bool good = true;
  for (size_t begin = 0; good && begin <= text->size();) {
    const size_t end = std::min(text->find('-', begin), text->size());
    int64_t value = 0;
    good = parse(text->substr(begin, end - begin), value) && value >= low && value <= high;
    values.push_back(value);
    begin = end + 1;
  }
  GG_REFUSE_UNLESS(good && values.size() <= longest, owner_, ": ", key, " must be one to ", longest,
                   " whole numbers from ", low, " to ", high, ", joined by '-'; got '", *text, "'");
  return values;
}

void SettingsReader::finish() const {
  for (const auto& [key, value] : settings_) {
    if (known_.count(key) != 0) continue;
    std::string names;
    for (const std::string& name : known_) names += (names.empty() ? "" : ", ") + name;
    GG_REFUSE_UNLESS(false, owner_, ": unknown option '", key, "'; known are ", names);
  }
}

std::string join(const std::vector<int64_t>& values) {
  std::string text;
  for (const int64_t value : values) text += (text.empty() ? "" : "-") + std::to_string(value);
  return text;
}

std::string to_text(double value) {
  char text[40];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  return {text, end};
}

}  // namespace gliograd::models
