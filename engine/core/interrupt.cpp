#include "engine/core/interrupt.hpp"

#include <atomic>
#include <csignal>

namespace gliograd {
namespace {

// Set by the handler in whatever thread it runs, read by all folds.
std::atomic<bool> g_interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "else a handler may not touch it");

void on_signal(int) {
  g_interrupted = true;
  std::signal(SIGINT, SIG_DFL);  // a second one ends the process at once
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

void watch_for_interrupt() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool interrupted() { return g_interrupted; }

void stop_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

}  // namespace gliograd
