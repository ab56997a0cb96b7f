#include "data/readers/table_columns.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "kernels/base.hpp"

namespace gliograd::data {
namespace {

constexpr size_t kMostClasses = 10;  // of a label column that holds numbers

std::string lower(const std::string& text) {
  std::string out = text;
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

bool measures(const std::string& name) {
  static const std::set<std::string> kWords = {"age",  "days",   "months", "years",
                                               "time", "volume", "score",  "dose"};
  std::string word;
  for (const char c : lower(name) + "_") {
    if (c == '_' || c == '-' || c == ' ') {
      if (kWords.count(word) != 0) return true;
      word.clear();
    } else {
      word += c;
    }
  }
  return false;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct Column {
  bool all_numbers = true;
  size_t not_number = 0;  // the first row that is none
  std::set<std::string> values;
};

Column look_at(const CsvTable& table, size_t index) {
  Column column;
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const std::string& field = table.rows[r][index];
    if (is_missing(field)) continue;
    column.values.insert(field);
    if (column.all_numbers && !number_in(field, table.separator)) {
      column.all_numbers = false;
      column.not_number = r;
    }
  }
  return column;
}

}  // namespace

size_t patient_column(const CsvTable& table) {
  for (const char* name : {"patient", "patient_id", "id"}) {
    for (size_t i = 0; i < table.header.size(); ++i) {
      if (lower(table.header[i]) == name) return i;
    }
  }
  return 0;
}

std::vector<std::string> patients_in(const CsvTable& table) {
  const size_t index = patient_column(table);
  std::vector<std::string> ids;
  std::map<std::string, int64_t> lines;
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const std::string& id = table.rows[r][index];
    const std::string where = table.name + ": line " + std::to_string(table.lines[r]);
    if (id.empty()) throw Error(where + " names no patient");
    const auto [first, fresh] = lines.emplace(id, table.lines[r]);
    if (!fresh) {
      throw Error(where + ": patient " + shown(id) + " is there twice, first in line " +
                  std::to_string(first->second));
    }
    ids.push_back(id);
  }
  return ids;
}

void add_columns(Dataset& set, const CsvTable& table, const ColumnChoice& choice) {
  for (const std::string& name : choice.labels) table.column(name);
  for (const std::string& name : choice.covariates) table.column(name);
  const std::vector<std::string> ids = patients_in(table);
  std::map<std::string, size_t> row_of;
  for (size_t r = 0; r < ids.size(); ++r) row_of[ids[r]] = r;
  for (size_t i = 0; i < table.header.size(); ++i) {
    if (i == patient_column(table)) continue;
    const std::string& name = table.header[i];
    const Column column = look_at(table, i);
    const bool forced = contains(choice.covariates, name);
    if (forced && !column.all_numbers) {
      throw Error(table.name + ": line " + std::to_string(table.lines[column.not_number]) +
                  ": column " + shown(name) + " shall hold numbers; found \"" +
                  shown(table.rows[column.not_number][i]) + "\"");
    }
    const bool numbers = column.all_numbers && !column.values.empty() &&
                         (column.values.size() > kMostClasses || measures(name));
    if (forced || (numbers && !contains(choice.labels, name))) {
      CovariateColumn out{name, {}};
      for (const Patient& patient : set.patients) {
        const std::string& field = table.rows[row_of.at(patient.id)][i];
        out.values.push_back(is_missing(field) ? std::numeric_limits<double>::quiet_NaN()
                                               : *number_in(field, table.separator));
      }
      set.covariates.push_back(std::move(out));
      continue;
    }
    LabelColumn out{name, {column.values.begin(), column.values.end()}, {}};
    std::sort(out.classes.begin(), out.classes.end(), class_before);
    for (const Patient& patient : set.patients) {
      const std::string& field = table.rows[row_of.at(patient.id)][i];
      const auto at = std::find(out.classes.begin(), out.classes.end(), field);
      out.values.push_back(is_missing(field) ? -1 : static_cast<int32_t>(at - out.classes.begin()));
    }
    set.labels.push_back(std::move(out));
  }
}

}  // namespace gliograd::data
