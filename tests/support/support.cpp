#include "tests/support/support.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/support/process.hpp"

namespace gliograd::test {

Stream& cpu_stream() {
  static const std::unique_ptr<Stream> stream = Stream::cpu();
  return *stream;
}

Tensor tensor(const Shape& shape, const std::vector<double>& values, DType dtype) {
  return from_values(cpu_stream(), shape, values, dtype);
}

std::vector<double> values(const Tensor& x) { return to_values(x); }

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "gliograd-test-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

CommandResult run_command(const std::vector<std::string>& arguments) {
  const TempDir folder;
  const std::string out = folder / "out", err = folder / "err";
  const pid_t child = start_process(arguments, out, err);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return {exit_code_of(status), read_file(out), read_file(err)};
}

CommandResult gliograd(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {program_path()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_command(all);
}

void skip(const std::string& test, const std::string& why) {
  std::printf("SKIPPED: %s: %s\n", test.c_str(), why.c_str());
}

std::optional<std::string> real_data(const std::string& name, const std::string& test) {
  const char* root = std::getenv("GLIOGRAD_DATA");
  if (root == nullptr) {
    skip(test, "GLIOGRAD_DATA is not set");
    return std::nullopt;
  }
  const std::filesystem::path path = std::filesystem::path(root) / name;
  if (!std::filesystem::exists(path)) {
    skip(test, path.string() + " does not exist");
    return std::nullopt;
  }
  return path.string();
}

std::string program_path() { return GLIOGRAD_BINARY_DIR "/gliograd"; }
std::string source_path(const std::string& name) { return GLIOGRAD_SOURCE_DIR "/" + name; }

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE_MESSAGE(in.good(), "cannot read ", path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream out(path, std::ios::binary);
  out << content;
  REQUIRE_MESSAGE(out.good(), "cannot write ", path);
}

}  // namespace gliograd::test
