// Ctrl-C: a flag that long work looks at between steps, and the exception that unwinds to main.
#pragma once
#include "kernels/base.hpp"

namespace gliograd {

/// Thrown where long work stops early at a safe place. The command line exits 130.
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
};

/// Catches SIGINT and SIGTERM from here on: the first sets the flag, a second ends the process.
void watch_for_interrupt();
bool interrupted();
/// Throws Interrupted when the flag is set.
void stop_if_interrupted();

}  // namespace gliograd
