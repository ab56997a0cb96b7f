// The report's drawings. Each returns one <svg> element, or an empty text where there is nothing
// to draw.
#pragma once
#include <string>

#include "apps/cli/report/report_data.hpp"

namespace gliograd::cli::report {

/// The ROC with its pointwise band; of more than two classes one curve a class.
std::string roc_chart(const ReportData& report);
/// One dot a patient by score, one lane a class; a patient's score is the mean over repeats.
std::string score_chart(const ReportData& report);
/// Log-loss by epoch: every fold thin, their mean thick; training, and inner where there was one.
std::string loss_chart(const ReportData& report);
/// AUCs under shuffled labels, and the observed one.
std::string null_chart(const ReportData& report);
/// Gray slices side by side, one a sequence, with the mask's outline on each.
std::string slice_chart(const Example& example);

/// Outlines of a mask [H * W] as an SVG path in pixels: closed loops through the midpoints of the
/// pixel edges between inside and outside.
std::string outline_path(const std::vector<uint8_t>& mask, int64_t height, int64_t width);
/// A gray image as a PNG in a data URI.
std::string png_uri(const std::vector<uint8_t>& gray, int64_t height, int64_t width);

}  // namespace gliograd::cli::report
