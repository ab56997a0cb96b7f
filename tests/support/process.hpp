// One child process whose output goes to files: what commands and runs in tests are started by.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

namespace gliograd::test {

/// Starts arguments[0] (looked up on PATH where it has no slash) without input. A program that
/// cannot be started fails the test.
pid_t start_process(const std::vector<std::string>& arguments, const std::string& out,
                    const std::string& err);
/// The exit code in what waitpid tells; 128 + signal where it was killed.
int exit_code_of(int status);

}  // namespace gliograd::test
