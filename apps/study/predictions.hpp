// predictions.csv: what a study said of every patient it had not seen. All statistics start here.
// Plain text, independent of the locale, 9 decimals; a score counts as it is written, so that the
// last bits of equal scores decide nothing.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace gliograd::study {

/// One row: one patient in one repeat.
struct ScoredPatient {
  std::string id;
  std::string site;  // empty where unknown
  int repeat = 0;    // counted from 0
  int fold = 0;      // counted from 0
  int label = 0;     // index of the class, counted from 0
  /// One value: the score of class 1 against class 0. Several: one for each class, in order.
  std::vector<double> scores;
};

/// The value that `score` has once it is written with 9 decimals and read again.
double as_written(double score);
/// `score` with 9 decimals and a point, never "-0.000000000".
std::string format_score(double score);

/// One field as CSV wants it: quoted where it holds a comma, a quote or a line break.
std::string csv_field(const std::string& text);
/// All records of a CSV text with commas; quoted fields, LF or CRLF. The n-th record starts in line
/// `lines[n]` (counted from 1). Errors: Error that names `name` and the line.
struct CsvRecords {
  std::vector<std::vector<std::string>> fields;
  std::vector<int64_t> lines;
};
CsvRecords parse_csv(const std::string& text, const std::string& name);

/// How often a patient may stand in a table: once a repeat, as out-of-fold scores do; or once a
/// repeat and fold, as the scores of inner folds do (`fold` is the outer one, and each outer fold
/// scores all others' patients).
enum class OneRow : uint8_t { a_repeat, a_fold };

/// The file's text: a header (patient,site,repeat,fold,label,score or score_0,score_1,...), then
/// the rows as given. Errors: Error where check_predictions has one.
std::string format_predictions(const std::vector<ScoredPatient>& rows,
                               OneRow one = OneRow::a_repeat);
/// The reverse. Errors: Error that names `name` and the row for another header, a missing or
/// surplus field, what is not a number, and all that check_predictions refuses.
std::vector<ScoredPatient> parse_predictions(const std::string& text, const std::string& name,
                                             OneRow one = OneRow::a_repeat);

/// Whole files (engine/core/atomic_file.hpp). Errors: Error or WorkError that names the file.
void write_predictions(const std::string& path, const std::vector<ScoredPatient>& rows,
                       OneRow one = OneRow::a_repeat);
std::vector<ScoredPatient> read_predictions(const std::string& path, OneRow one = OneRow::a_repeat);

/// What every statistic relies on: at least one row, finite scores, as many in each row (two
/// classes where there is one score), labels in range, one row a patient and repeat (or fold), and
/// for each patient one label and one site. Errors: Error that names `name`, the patient and the
/// row (the header is row 1).
void check_predictions(const std::vector<ScoredPatient>& rows, const std::string& name,
                       OneRow one = OneRow::a_repeat);

}  // namespace gliograd::study
