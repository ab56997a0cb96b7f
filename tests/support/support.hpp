// What many tests need: a CPU stream, small tensors by hand, a folder that goes away, the program
// as a command, and the real data where there is some.
#pragma once
#include <doctest/doctest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/device/stream.hpp"
#include "engine/tensor/tensor.hpp"
#include "tests/support/seeds.hpp"

namespace gliograd::test {

/// One stream for the whole test program.
Stream& cpu_stream();
/// An f64 tensor unless another type is given.
Tensor tensor(const Shape& shape, const std::vector<double>& values, DType dtype = DType::f64);
std::vector<double> values(const Tensor& x);

/// The message of the Error that `body` throws; fails the test when none is thrown.
template <class Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  FAIL("no Error was thrown");
  return {};
}
inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A new empty folder, removed with all it holds at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

struct CommandResult {
  int code = 0;     // exit code; 128 + signal when killed
  std::string out;  // standard output
  std::string err;  // standard error
};
/// Runs the built gliograd with these arguments.
CommandResult gliograd(const std::vector<std::string>& arguments);
/// The built gliograd.
std::string program_path();
/// Runs any program found on PATH.
CommandResult run_command(const std::vector<std::string>& arguments);

/// A folder or file below GLIOGRAD_DATA, or nothing, and then says "SKIPPED: <test>: why" once.
std::optional<std::string> real_data(const std::string& name, const std::string& test);
/// Says that a test was skipped; the test runner counts these lines.
void skip(const std::string& test, const std::string& why);

/// A file of the source tree.
std::string source_path(const std::string& name);
std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& content);

}  // namespace gliograd::test
