#include "data/readers/csv.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/core/atomic_file.hpp"
#include "kernels/base.hpp"

namespace gliograd::data {
namespace {

/// Length of the UTF-8 sequence at `at`, 0 when there is none.
size_t utf8_length(const std::string& text, size_t at) {
  const auto lead = static_cast<uint8_t>(text[at]);
  const size_t length = lead < 0x80                   ? 1
                        : lead >= 0xc2 && lead < 0xe0 ? 2
                        : (lead & 0xf0) == 0xe0       ? 3
                        : lead >= 0xf0 && lead < 0xf5 ? 4
                                                      : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<uint8_t>(text[at + i]) & 0xc0) != 0x80) return 0;
  }
  return length;
}

bool is_utf8(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string from_latin1(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xc0 | byte >> 6);
      out += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return out;
}

std::string trimmed(const std::string& text) {
  const size_t from = text.find_first_not_of(" \t");
  if (from == std::string::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t") + 1 - from);
}

/// What separates the header's fields, quotes left out of account; "," where nothing does.
char find_separator(const std::string& text) {
  int64_t commas = 0, semicolons = 0, tabs = 0;
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '\n' || c == '\r') {
      if (commas + semicolons + tabs > 0) break;
      continue;
    }
    commas += c == ',';
    semicolons += c == ';';
    tabs += c == '\t';
  }
  if (semicolons > commas && semicolons >= tabs) return ';';
  return tabs > commas ? '\t' : ',';
}

class Parser {
 public:
  Parser(const std::string& name, const std::string& text, char separator)
      : name_(name), text_(text), separator_(separator) {}

  bool at_end() const { return at_ >= text_.size(); }
  int64_t line() const { return line_; }

  std::vector<std::string> row() {
    std::vector<std::string> fields;
    do {
      fields.push_back(field());
    } while (take(separator_));
    take('\r');
    take('\n');
    ++line_;
    return fields;
  }

 private:
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  std::string field() {
    const size_t blank = text_.find_first_not_of(' ', at_);
    if (blank != std::string::npos && text_[blank] == '"') {
      at_ = blank;
      return quoted();
    }
    const char ends[] = {separator_, '\r', '\n', '\0'};
    const size_t end = std::min(text_.find_first_of(ends, at_), text_.size());
    const std::string value = text_.substr(at_, end - at_);
    at_ = end;
    return trimmed(value);
  }

  std::string quoted() {
    const int64_t opened = line_;
    std::string value;
    ++at_;
    for (;;) {
      if (at_end()) fail(opened, "opens a quote that is never closed");
      const char c = text_[at_++];
      if (c == '"' && !take('"')) break;  // a doubled quote is one quote
      line_ += c == '\n';
      value += c;
    }
    while (take(' ')) {
    }
    if (!at_end() && text_[at_] != separator_ && text_[at_] != '\n' && text_[at_] != '\r') {
      fail(line_, "has text after a closing quote");
    }
    return value;
  }

  [[noreturn]] void fail(int64_t line, const std::string& what) const {
    throw Error(name_ + ": line " + std::to_string(line) + " " + what);
  }

  const std::string& name_;
  const std::string& text_;
  char separator_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

void check_header(const CsvTable& table, int64_t line) {
  for (size_t i = 0; i < table.header.size(); ++i) {
    const std::string& name = table.header[i];
    const std::string where = table.name + ": line " + std::to_string(line);
    if (name.empty()) {
      throw Error(where + ": column " + std::to_string(i + 1) + " of the header has no name");
    }
    if (std::find(table.header.begin(), table.header.begin() + static_cast<int64_t>(i), name) !=
        table.header.begin() + static_cast<int64_t>(i)) {
      throw Error(where + ": the header names column \"" + shown(name) + "\" twice");
    }
  }
}

}  // namespace

size_t CsvTable::column(const std::string& wanted) const {
  const auto at = std::find(header.begin(), header.end(), wanted);
  if (at != header.end()) return static_cast<size_t>(at - header.begin());
  std::string known;
  for (const std::string& one : header) known += (known.empty() ? "" : ", ") + shown(one);
  throw Error(name + ": has no column \"" + wanted + "\"; there are: " + known);
}

bool CsvTable::has_column(const std::string& wanted) const {
  return std::find(header.begin(), header.end(), wanted) != header.end();
}

CsvTable read_csv(const std::string& path) { return parse_csv(path, read_text(path)); }

CsvTable parse_csv(const std::string& name, std::string text) {
  if (text.rfind("\xef\xbb\xbf", 0) == 0) text.erase(0, 3);
  if (text.find('\0') != std::string::npos) throw Error(name + ": is no text file");
  if (!is_utf8(text)) text = from_latin1(text);
  CsvTable table;
  table.name = name;
  table.separator = find_separator(text);
  Parser parser(name, text, table.separator);
  while (!parser.at_end()) {
    const int64_t line = parser.line();
    std::vector<std::string> row = parser.row();
    if (row.size() == 1 && row[0].empty()) continue;
    if (table.header.empty()) {
      table.header = std::move(row);
      check_header(table, line);
      continue;
    }
    if (row.size() != table.header.size()) {
      throw Error(name + ": line " + std::to_string(line) + " has " + std::to_string(row.size()) +
                  " fields, the header " + std::to_string(table.header.size()));
    }
    const bool blank =
        std::all_of(row.begin(), row.end(), [](const std::string& field) { return field.empty(); });
    if (blank) continue;  // a spreadsheet's empty rows
    table.rows.push_back(std::move(row));
    table.lines.push_back(line);
  }
  if (table.header.empty()) throw Error(name + ": is empty");
  if (table.rows.empty()) throw Error(name + ": has a header and no rows");
  return table;
}

std::string shown(const std::string& field) {
  std::string out = field.substr(0, 80);
  for (char& c : out) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

bool is_missing(const std::string& field) {
  std::string lower;
  for (const char c : field) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return lower.empty() || lower == "na" || lower == "n/a" || lower == "nan" || lower == "null";
}

std::optional<double> number_in(const std::string& field, char separator) {
  std::string text = field;
  if (separator == ';') std::replace(text.begin(), text.end(), ',', '.');
  const char* from = text.data();
  const char* end = from + text.size();
  if (from != end && *from == '+') ++from;
  double value = 0;
  const auto [stop, code] = std::from_chars(from, end, value);
  if (code != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

bool class_before(const std::string& a, const std::string& b) {
  const std::optional<double> x = number_in(a, ','), y = number_in(b, ',');
  if (x.has_value() != y.has_value()) return x.has_value();
  if (x && *x != *y) return *x < *y;
  return a < b;
}

}  // namespace gliograd::data
