// What the programs of this folder print: one JSON object a line; and how they read their options.
#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/core/error.hpp"

namespace gliograd::bench {

/// A JSON object in the making. Numbers that are not finite become null.
class Record {
 public:
  template <class T>
  Record& add(const std::string& key, const T& value) {
    text_ += (text_.empty() ? "" : ", ") + quoted(key) + ": " + text_of(value);
    return *this;
  }
  std::string text() const { return "{" + text_ + "}"; }

 private:
  static std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      if (c == '\n') {
        out += "\\n";
      } else if (static_cast<unsigned char>(c) >= 0x20) {
        out += c;
      }
    }
    return out + '"';
  }
  static std::string text_of(const std::string& value) { return quoted(value); }
  static std::string text_of(const char* value) { return quoted(value); }
  static std::string text_of(bool value) { return value ? "true" : "false"; }
  static std::string text_of(double value) {
    if (!std::isfinite(value)) return "null";
    std::ostringstream out;
    out.precision(9);
    out << value;
    return out.str();
  }
  template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
  static std::string text_of(T value) {
    return std::to_string(value);
  }
  static std::string text_of(const Record& value) { return value.text(); }
  template <class T>
  static std::string text_of(const std::vector<T>& values) {
    std::string out;
    for (const T& value : values) out += (out.empty() ? "" : ", ") + text_of(value);
    return "[" + out + "]";
  }

  std::string text_;
};

/// The value that a share q of them lies below, linear between neighbors.
inline double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

/// "--name value" pairs against what is known. Errors: Error that names the option.
class Words {
 public:
  explicit Words(const std::vector<std::string>& words) {
    for (size_t i = 0; i < words.size(); i += 2) {
      if (words[i].rfind("--", 0) != 0) throw Error("an option begins with --; got " + words[i]);
      if (i + 1 == words.size()) throw Error(words[i] + " needs a value");
      given_[words[i]] = words[i + 1];
    }
  }
  int64_t integer(const std::string& name, int64_t fallback, int64_t low, int64_t high) {
    const std::string* text = take(name);
    if (text == nullptr) return fallback;
    int64_t value = 0;
    const char* end = text->data() + text->size();
    const auto [stop, failure] = std::from_chars(text->data(), end, value);
    if (failure != std::errc() || stop != end || value < low || value > high) {
      throw Error(concat_text(name, " must be ", low, " to ", high, "; got \"", *text, '"'));
    }
    return value;
  }
  std::string one_of(const std::string& name, const std::string& fallback,
                     const std::vector<std::string>& known) {
    const std::string* text = take(name);
    if (text == nullptr) return fallback;
    if (std::find(known.begin(), known.end(), *text) != known.end()) return *text;
    std::string list;
    for (const std::string& word : known) list += (list.empty() ? "" : ", ") + word;
    throw Error(concat_text(name, " must be one of ", list, "; got \"", *text, '"'));
  }
  /// To be called last. Errors: Error for an option that nobody asked for.
  void finish() const {
    for (const auto& [name, value] : given_) {
      if (taken_.count(name) == 0) throw Error("unknown option " + name + "; see --help");
    }
  }

 private:
  const std::string* take(const std::string& name) {
    taken_[name] = true;
    const auto found = given_.find(name);
    return found == given_.end() ? nullptr : &found->second;
  }
  std::map<std::string, std::string> given_;
  std::map<std::string, bool> taken_;
};

}  // namespace gliograd::bench
