// Lines for the person who watches: standard error, one mutex, no library. The command line may
// put a richer sink in its place.
#pragma once
#include <functional>
#include <string>

namespace gliograd {

enum class LogLevel { info, warning };

using LogSink = std::function<void(LogLevel, const std::string&)>;

/// Replaces the sink (an empty one restores standard error). Call before threads start.
void set_log_sink(LogSink sink);

/// Both may be called from any thread.
void log_info(const std::string& line);
void log_warning(const std::string& line);

}  // namespace gliograd
