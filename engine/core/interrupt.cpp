#include "engine/core/interrupt.hpp"

#include <csignal>

namespace gliograd {
namespace {

volatile std::sig_atomic_t g_signals = 0;

void on_signal(int number) {
  g_signals = g_signals + 1;
  std::signal(number, SIG_DFL);  // a second one ends the process at once
}

}  // namespace

void watch_for_interrupt() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool interrupted() { return g_signals != 0; }

void stop_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

}  // namespace gliograd
