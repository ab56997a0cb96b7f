// Progress of long work: a bar with rate and time left on a terminal, one line every few seconds
// elsewhere. On standard error.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace gliograd::study {

class Progress {
 public:
  /// `total` units of work in all; `unit` names them in the rate ("images").
  Progress(std::string label, int64_t total, std::string unit, bool enabled = true);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Units done in an earlier run: they count as done, but not for the rate.
  void skip(int64_t units);
  /// From any thread; prints when it is time to. `ops`: floating-point operations of these units.
  void advance(int64_t units, double ops = 0);
  /// What the machine does at its best; the line then says which share of it was reached.
  void set_peak(double ops_per_second);
  bool enabled() const { return enabled_; }
  /// Replaces the short text behind the bar ("fold 3/10, loss 0.41").
  void note(const std::string& text);
  /// The last line, and nothing after it.
  void finish();

 private:
  void print(bool last);

  std::string label_, unit_, note_;
  int64_t total_;
  bool enabled_, terminal_, finished_ = false;
  std::atomic<int64_t> done_{0}, skipped_{0};
  std::atomic<double> ops_{0};
  double peak_ = 0;  // operations a second; 0: not known
  std::chrono::steady_clock::time_point start_, printed_;
  std::mutex mutex_;
};

/// "1 h 02 min", "3 min 20 s", "45 s"
std::string duration_text(double seconds);

}  // namespace gliograd::study
