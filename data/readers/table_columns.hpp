// From a clinical table to label and covariate columns of a set.
#pragma once
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "data/readers/csv.hpp"

namespace gliograd::data {

struct ColumnChoice {
  std::vector<std::string> labels;      // columns that are labels whatever they hold
  std::vector<std::string> covariates;  // columns that are numbers whatever their name
};

/// The column that names the patient: "Patient", "patient_id" or "id" in any case; else the first.
size_t patient_column(const CsvTable& table);

/// Row of each patient in the table. Errors: Error with the line when a patient is named twice or
/// has no name.
std::vector<std::string> patients_in(const CsvTable& table);

/// Adds every column but the patient's to set.labels or set.covariates, for set.patients, all of
/// which must be in the table. A column is a covariate when all its values are numbers and either
/// more than 10 of them differ or a word of its name (parted by _, -, blanks) is one that measures:
/// age, days, months, years, time, volume, score, dose. All else is a label, its classes sorted by
/// number, then as text.
/// Errors: Error for an unknown column in `choice`, and for text in one that shall be a covariate.
void add_columns(Dataset& set, const CsvTable& table, const ColumnChoice& choice);

}  // namespace gliograd::data
