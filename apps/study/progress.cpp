#include "apps/study/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

std::string duration_text(double seconds) {
  const auto s = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  char text[48];
  if (s >= 3600) {
    std::snprintf(text, sizeof text, "%lld h %02lld min", static_cast<long long>(s / 3600),
                  static_cast<long long>(s / 60 % 60));
  } else if (s >= 60) {
    std::snprintf(text, sizeof text, "%lld min %02lld s", static_cast<long long>(s / 60),
                  static_cast<long long>(s % 60));
  } else {
    std::snprintf(text, sizeof text, "%lld s", static_cast<long long>(s));
  }
  return text;
}

Progress::Progress(std::string label, int64_t total, std::string unit, bool enabled)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(std::max<int64_t>(1, total)),
      enabled_(enabled),
      terminal_(isatty(2) != 0),
      start_(Clock::now()),
      printed_(start_) {}

Progress::~Progress() { finish(); }

void Progress::skip(int64_t units) {
  skipped_ += units;
  done_ += units;
}

void Progress::advance(int64_t units, double ops) {
  done_ += units;
  ops_ += ops;
  if (!enabled_) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);  // whoever holds it prints
  if (!lock || seconds_since(printed_) < (terminal_ ? 0.1 : 5.0)) return;
  print(false);
}

void Progress::set_peak(double ops_per_second) {
  const std::lock_guard lock(mutex_);
  peak_ = ops_per_second;
}

void Progress::note(const std::string& text) {
  const std::lock_guard lock(mutex_);
  note_ = text;
}

void Progress::finish() {
  const std::lock_guard lock(mutex_);
  if (finished_ || !enabled_) return;
  finished_ = true;
  if (done_ > skipped_) print(true);
}

void Progress::print(bool last) {
  printed_ = Clock::now();
  const double elapsed = seconds_since(start_);
  const int64_t done = std::min(done_.load(), total_), fresh = done - skipped_;
  const double share = static_cast<double>(done) / static_cast<double>(total_);
  const double rate = elapsed > 0 ? static_cast<double>(fresh) / elapsed : 0;
  std::string tail = last       ? "in " + duration_text(elapsed)
                     : rate > 0 ? duration_text(static_cast<double>(total_ - done) / rate) + " left"
                                : "";
  char head[64];
  std::snprintf(head, sizeof head, "%3.0f %%  %.0f ", 100 * share, rate);
  char of_peak[64] = "";
  if (peak_ > 0 && elapsed > 0) {
    std::snprintf(of_peak, sizeof of_peak, "%.0f %% of the measured peak, ",
                  100 * ops_.load() / elapsed / peak_);
  }
  const std::string text =
      concat_text(head, unit_, "/s, ", of_peak, tail, note_.empty() ? "" : "  ", note_);
  if (terminal_) {
    constexpr int kWidth = 24;
    const int filled = static_cast<int>(share * kWidth);
    std::string bar;
    for (int i = 0; i < kWidth; ++i) bar += i < filled ? "━" : "─";
    std::fprintf(stderr, "\r\033[K%s %s %s%s", label_.c_str(), bar.c_str(), text.c_str(),
                 last ? "\n" : "");
    std::fflush(stderr);
  } else {
    std::fprintf(stderr, "%s %s\n", label_.c_str(), text.c_str());
  }
}

}  // namespace gliograd::study
