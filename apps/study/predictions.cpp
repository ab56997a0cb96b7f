#include "apps/study/predictions.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "engine/core/atomic_file.hpp"
#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

constexpr int kFixedColumns = 5;
const std::array<const char*, kFixedColumns> kColumns = {"patient", "site", "repeat", "fold",
                                                         "label"};

[[noreturn]] void refuse(const std::string& name, size_t row, const std::string& what) {
  throw Error(concat_text(name, ": row ", row, ": ", what));
}

int whole_number(const std::string& field, const char* column, const std::string& name,
                 size_t row) {
  int value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || end != field.data() + field.size() || value < 0) {
    refuse(name, row, concat_text(column, " \"", field, "\" is not a whole number from 0 up"));
  }
  return value;
}

double number(const std::string& field, const std::string& patient, const std::string& name,
              size_t row) {
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || end != field.data() + field.size()) {
    refuse(name, row,
           concat_text("score \"", field, "\" of patient ", patient, " is not a number"));
  }
  return value;
}

std::string header_of(size_t scores) {
  std::string header;
  for (const char* column : kColumns) header += std::string(column) + ",";
  if (scores == 1) return header + "score";
  for (size_t c = 0; c < scores; ++c) header += (c ? ",score_" : "score_") + std::to_string(c);
  return header;
}

}  // namespace

std::string format_score(double score) {
  std::array<char, 400> text{};  // the largest double has 309 digits before the point
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), score, std::chars_format::fixed, 9);
  GG_CHECK(error == std::errc() && std::isfinite(score), "a score must be finite; got ", score);
  const std::string written(text.data(), end);
  return written == "-0.000000000" ? written.substr(1) : written;
}

double as_written(double score) {
  const std::string text = format_score(score);
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

CsvRecords parse_csv(const std::string& text, const std::string& name) {
  CsvRecords records;
  int64_t line = 1;
  for (size_t at = 0; at < text.size();) {
    records.lines.push_back(line);
    std::vector<std::string>& fields = records.fields.emplace_back();
    for (bool more = true; more;) {
      std::string field;
      if (at < text.size() && text[at] == '"') {
        for (++at;; ++at) {
          if (at >= text.size()) {
            throw Error(
                concat_text(name, ": line ", records.lines.back(), ": a quoted field never ends"));
          }
          if (text[at] == '"' && (at + 1 >= text.size() || text[at + 1] != '"')) break;
          if (text[at] == '"') ++at;
          if (text[at] == '\n') ++line;
          field += text[at];
        }
        ++at;
      } else {
        while (at < text.size() && text[at] != ',' && text[at] != '\n') field += text[at++];
        if (!field.empty() && field.back() == '\r') field.pop_back();
      }
      if (at < text.size() && text[at] == '\r') ++at;  // CRLF after a quoted field
      fields.push_back(field);
      more = at < text.size() && text[at] == ',';
      if (!more && at < text.size() && text[at] != '\n') {
        throw Error(concat_text(name, ": line ", line, ": text after a closing quote"));
      }
      ++at;
    }
    ++line;
  }
  return records;
}

void check_predictions(const std::vector<ScoredPatient>& rows, const std::string& name,
                       OneRow one) {
  if (rows.empty()) throw Error(concat_text(name, ": no predictions"));
  const size_t scores = rows.front().scores.size();
  const int classes = scores == 1 ? 2 : static_cast<int>(scores);
  std::map<std::string, const ScoredPatient*> first;
  std::set<std::tuple<std::string, int, int>> seen;
  for (size_t i = 0; i < rows.size(); ++i) {
    const ScoredPatient& row = rows[i];
    const size_t at = i + 2;
    if (row.id.empty()) refuse(name, at, "the patient is empty");
    if (row.repeat < 0 || row.fold < 0) {
      refuse(name, at, concat_text("patient ", row.id, " has a negative repeat or fold"));
    }
    if (row.scores.empty() || row.scores.size() != scores) {
      refuse(name, at,
             concat_text("patient ", row.id, " has ", row.scores.size(),
                         " scores; the first row has ", scores));
    }
    for (const double score : row.scores) {
      if (!std::isfinite(score)) {
        refuse(name, at, concat_text("patient ", row.id, " has a score that is not finite"));
      }
    }
    if (row.label < 0 || row.label >= classes) {
      refuse(name, at,
             concat_text("patient ", row.id, " has label ", row.label, "; there are ", classes,
                         " classes, counted from 0"));
    }
    const bool by_fold = one == OneRow::a_fold;
    if (!seen.insert({row.id, row.repeat, by_fold ? row.fold : 0}).second) {
      refuse(name, at,
             concat_text("patient ", row.id, " stands twice in repeat ", row.repeat,
                         by_fold ? concat_text(", fold ", row.fold) : ""));
    }
    const ScoredPatient& before = *first.emplace(row.id, &row).first->second;
    if (before.label != row.label) {
      refuse(name, at,
             concat_text("patient ", row.id, " has label ", row.label, " here and ", before.label,
                         " before"));
    }
    if (before.site != row.site) {
      refuse(name, at,
             concat_text("patient ", row.id, " is of site \"", row.site, "\" here and \"",
                         before.site, "\" before"));
    }
  }
}

std::string format_predictions(const std::vector<ScoredPatient>& rows, OneRow one) {
  check_predictions(rows, "predictions", one);
  std::string text = header_of(rows.front().scores.size()) + "\n";
  for (const ScoredPatient& row : rows) {
    text += csv_field(row.id) + "," + csv_field(row.site) + "," + std::to_string(row.repeat) + "," +
            std::to_string(row.fold) + "," + std::to_string(row.label);
    for (const double score : row.scores) text += "," + format_score(score);
    text += "\n";
  }
  return text;
}

std::vector<ScoredPatient> parse_predictions(const std::string& text, const std::string& name,
                                             OneRow one) {
  const CsvRecords records = parse_csv(text, name);
  if (records.fields.empty()) throw Error(concat_text(name, ": is empty"));
  const std::vector<std::string>& header = records.fields.front();
  std::string found;
  for (const std::string& column : header) found += (found.empty() ? "" : ",") + column;
  const size_t scores = header.size() > kFixedColumns ? header.size() - kFixedColumns : 1;
  if (found != header_of(scores)) {
    throw Error(concat_text(name, ": the header must be \"", header_of(1), "\" or \"", header_of(3),
                            "\" and so on; got \"", found.substr(0, 200), "\""));
  }
  std::vector<ScoredPatient> rows;
  for (size_t r = 1; r < records.fields.size(); ++r) {
    const std::vector<std::string>& fields = records.fields[r];
    if (fields.size() != header.size()) {
      refuse(name, r + 1, concat_text(fields.size(), " fields; the header has ", header.size()));
    }
    ScoredPatient& row = rows.emplace_back();
    row.id = fields[0];
    row.site = fields[1];
    row.repeat = whole_number(fields[2], "repeat", name, r + 1);
    row.fold = whole_number(fields[3], "fold", name, r + 1);
    row.label = whole_number(fields[4], "label", name, r + 1);
    for (size_t c = kFixedColumns; c < fields.size(); ++c) {
      row.scores.push_back(number(fields[c], row.id, name, r + 1));
    }
  }
  check_predictions(rows, name, one);
  return rows;
}

void write_predictions(const std::string& path, const std::vector<ScoredPatient>& rows,
                       OneRow one) {
  write_atomically(path, format_predictions(rows, one));
}

std::vector<ScoredPatient> read_predictions(const std::string& path, OneRow one) {
  return parse_predictions(read_text(path), path, one);
}

}  // namespace gliograd::study
