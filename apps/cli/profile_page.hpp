// The files of `gliograd profile`: one JSON object, a trace that Perfetto opens, a page with a
// roofline.
#pragma once
#include <string>

#include "apps/study/profile.hpp"

namespace gliograd::cli {

/// One object: options, peaks, the step, a row for each op and direction.
std::string profile_json(const study::Profile& profile);
/// Chrome's trace event format: the last step on the host's line and, where there is one, the
/// GPU's. The two lines begin together; they are clocks of their own.
std::string profile_trace(const study::Profile& profile);
/// Self-contained: operations a byte against operations a second, and the table.
std::string profile_page(const study::Profile& profile);

}  // namespace gliograd::cli
