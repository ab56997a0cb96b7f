// Tables in text files as people keep them: "," or ";" or tabs, a byte-order mark or none, any line
// ends, quoted fields that may hold all of these.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gliograd::data {

struct CsvTable {
  std::string name;  // of the file, for messages
  char separator = ',';
  std::vector<std::string> header;             // unique, not empty
  std::vector<std::vector<std::string>> rows;  // each as long as the header; blanks trimmed
  std::vector<int64_t> lines;                  // line of each row in the file, from 1

  /// Index of a column, or Error that lists the names that exist.
  size_t column(const std::string& name) const;
  bool has_column(const std::string& name) const;
};

/// Errors: Error "FILE: line N ..." for a row of another length than the header, an unclosed quote,
/// a column named twice or not at all; "FILE: ..." when it is empty or no text. Blank lines are
/// left out. Text that is not UTF-8 is taken for Latin-1.
CsvTable read_csv(const std::string& path);
CsvTable parse_csv(const std::string& name, std::string text);

/// A field for a message of one line: control characters as blanks, no longer than 80 bytes.
std::string shown(const std::string& field);
/// Blank, NA, N/A, NaN, null (in any case): no value.
bool is_missing(const std::string& field);
/// The number that the whole field is, or nothing; "41,5" too when the separator is ";".
std::optional<double> number_in(const std::string& field, char separator);
/// Numbers by value first, then all else as text.
bool class_before(const std::string& a, const std::string& b);

}  // namespace gliograd::data
