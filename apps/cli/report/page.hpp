// The report as one HTML file: no script, no network, light and dark, fit for paper.
#pragma once
#include <string>

#include "apps/cli/report/report_data.hpp"

namespace gliograd::cli::report {

std::string report_page(const ReportData& report);

/// The style sheet (style.cpp).
const char* style_sheet();

}  // namespace gliograd::cli::report
