// The program as a function, so that main is one line.
#pragma once

namespace gliograd::cli {

/// Parses and runs one command. Returns the exit code: 0; 1 when work failed; 2 for bad usage or
/// bad input; 130 after Ctrl-C. Errors are printed on standard error in one line.
int run_program(int argc, char** argv);

}  // namespace gliograd::cli
