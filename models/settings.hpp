// Settings: a network's options as plain text, so that a checkpoint, a config file and the command
// line all hold the same thing; and the reader that turns them into numbers.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace gliograd::models {

/// Keys and values, sorted by key. Lists are joined by '-': widths = "16-32-64-96".
using Settings = std::map<std::string, std::string>;

/// Reads settings one by one; a key nobody asked for is an error that lists the known ones.
class SettingsReader {
 public:
  /// `owner` opens every message: "subtype".
  SettingsReader(std::string owner, const Settings& settings);

  /// An integer in [low, high], or `fallback` where the key is absent. Errors: Error that says what
  /// was needed and what came.
  int64_t integer(const std::string& key, int64_t fallback, int64_t low, int64_t high);
  double number(const std::string& key, double fallback, double low, double high);
  /// Integers in [low, high], joined by '-'; at least one, at most `longest`.
  std::vector<int64_t> integers(const std::string& key, const std::vector<int64_t>& fallback,
                                int64_t low, int64_t high, size_t longest);
  /// To be called last. Errors: Error when a key was never asked for.
  void finish() const;

 private:
  const std::string* find(const std::string& key);
  std::string owner_;
  const Settings& settings_;
  std::set<std::string> known_;
};

/// "16-32-64-96"
std::string join(const std::vector<int64_t>& values);
/// The shortest text that reads back as the same number.
std::string to_text(double value);

}  // namespace gliograd::models
