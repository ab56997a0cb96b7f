#include "engine/core/log.hpp"

#include <cstdio>
#include <mutex>
#include <utility>

namespace gliograd {
namespace {

std::mutex& log_mutex() {
  static std::mutex mutex;
  return mutex;
}

LogSink& log_sink() {
  static LogSink sink;
  return sink;
}

void write(LogLevel level, const std::string& line) {
  const std::lock_guard lock(log_mutex());
  if (log_sink()) {
    log_sink()(level, line);
  } else {
    std::fprintf(stderr, "%s%s\n", level == LogLevel::warning ? "warning: " : "", line.c_str());
  }
}

}  // namespace

void set_log_sink(LogSink sink) {
  const std::lock_guard lock(log_mutex());
  log_sink() = std::move(sink);
}

void log_info(const std::string& line) { write(LogLevel::info, line); }
void log_warning(const std::string& line) { write(LogLevel::warning, line); }

}  // namespace gliograd
