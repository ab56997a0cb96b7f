// The report's sentences: what the numbers say, in words, computed from the numbers alone.
#pragma once
#include <string>
#include <vector>

#include "apps/cli/report/report_data.hpp"

namespace gliograd::cli::report {

enum class Verdict { yes, no, open };

struct Answer {
  std::string question;
  std::string answer;
  std::string why;
  Verdict verdict = Verdict::open;
};

/// Better than chance? Better than shape and age? How often has one looked?
std::vector<Answer> answers_of(const ReportData& report);

/// "COCCluster 2 against the rest"
std::string headline(const ReportData& report);
/// "110 patients, 24 positive · 10 folds by patient · ..."
std::string facts_line(const ReportData& report);
/// The intervals of the AUC, and what they are given.
std::string interval_line(const study::Metrics& metrics);
std::string permutation_line(const ReportData& report);
/// The command that made the run.
std::string again_command(const ReportData& report);
std::vector<std::string> reading_notes(const ReportData& report);

/// "0.031", "< 0.001"
std::string p_text(double p);
/// "+0.031", with a true minus sign.
std::string signed_text(double value);
/// "1 h 02 min", "3 min 20 s", "45 s"
std::string duration_text(double seconds);

}  // namespace gliograd::cli::report
