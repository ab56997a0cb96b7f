#include "tests/support/run_folders.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "data/readers/prepared_set.hpp"
#include "tests/support/cohort.hpp"
#include "tests/support/process.hpp"

namespace gliograd::test {

Process::Process(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {program_path()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  child_ = start_process(all, folder_ / "out", folder_ / "err");
}

Process::~Process() {
  if (code_ >= 0) return;
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
}

bool Process::running() {
  if (code_ >= 0) return false;
  int status = 0;
  if (waitpid(child_, &status, WNOHANG) == 0) return true;
  code_ = exit_code_of(status);
  return false;
}

void Process::signal(int number) {
  if (running()) kill(child_, number);
}

CommandResult Process::wait() {
  if (code_ < 0) {
    int status = 0;
    REQUIRE(waitpid(child_, &status, 0) == child_);
    code_ = exit_code_of(status);
  }
  return {code_, read_file(folder_ / "out"), read_file(folder_ / "err")};
}

CommandResult gliograd_with_file_limit(int64_t bytes, const std::vector<std::string>& arguments) {
  // POSIX counts `ulimit -f` in 512 bytes.
  std::vector<std::string> all = {"sh", "-c",
                                  "ulimit -S -f " + std::to_string(bytes / 512) + " && exec \"$@\"",
                                  "sh", program_path()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_command(all);
}

std::string write_set(const data::Dataset& set, const std::string& path) {
  data::write_prepared(set, path, {});
  return path;
}

data::Dataset identified_cohort(int patients, int first, uint32_t seed, int blank) {
  data::Dataset set = tiny_cohort({.patients = patients, .seed = seed});
  set.digest = "tiny " + std::to_string(seed);
  for (int p = 0; p < patients; ++p) {
    char name[16];
    std::snprintf(name, sizeof name, "TCGA-AA-%04d", first + p);
    set.patients[p].id = set.patients[p].identity = name;
  }
  const int64_t pixels = set.height * set.width;
  for (int64_t n = 0; n < set.slices_count; ++n) {
    if (n % 3 < 3 - blank) continue;  // three slices a patient
    set.slices[n].area = 0;
    set.slices[n].box = {};
    std::fill_n(set.masks.begin() + n * pixels, pixels, uint8_t{0});
    std::fill_n(set.images.begin() + n * pixels * 2, pixels * 2, uint8_t{60});
  }
  return set;
}

namespace {

std::vector<std::string> training(const std::string& command, const std::string& data,
                                  const std::string& out, const std::vector<std::string>& more) {
  std::vector<std::string> all = {command, "--data",          data, "--out",    out, "--width",
                                  "2",     "--window",        "16", "--epochs", "3", "--batch",
                                  "8",     "--warmup-epochs", "0",  "--seed",   "5", "--threads",
                                  "2"};
  // Where there is a GPU too: these tests compare bytes.
  if (std::find(more.begin(), more.end(), "--device") == more.end()) {
    all.insert(all.end(), {"--device", "cpu"});
  }
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

std::vector<std::string> crossval(const std::string& data, const std::string& out,
                                  const std::vector<std::string>& more) {
  std::vector<std::string> own = {"--target", "Subtype=2", "--folds", "3"};
  own.insert(own.end(), more.begin(), more.end());
  return training("crossval", data, out, own);
}

std::vector<std::string> pretrain(const std::string& data, const std::string& out,
                                  const std::vector<std::string>& more) {
  return training("pretrain", data, out, more);
}

std::vector<std::string> files_below(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<std::string> names;
  if (!fs::exists(folder)) return names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) names.push_back(fs::relative(entry.path(), folder).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::map<std::string, std::string> results_of(const std::string& folder) {
  std::map<std::string, std::string> contents;
  for (const std::string& name : files_below(folder)) {
    const std::string last = name.substr(name.rfind('/') + 1);
    if (last == "lock" || last == "timing.json" || last == "metrics.json" ||
        last == "config.toml") {
      continue;
    }
    contents[name] = read_file((std::filesystem::path(folder) / name).string());
  }
  return contents;
}

std::string difference(const std::map<std::string, std::string>& a,
                       const std::map<std::string, std::string>& b) {
  std::string names;
  for (const auto& [name, content] : a) {
    const auto other = b.find(name);
    if (other == b.end()) names += name + " (first only) ";
    if (other != b.end() && other->second != content) names += name + " ";
  }
  for (const auto& [name, content] : b) {
    if (a.count(name) == 0) names += name + " (second only) ";
  }
  return names;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::string refusal_of(const std::vector<std::string>& arguments) {
  const CommandResult result = gliograd(arguments);
  INFO("standard error: ", result.err);
  CHECK(result.code == 2);
  CHECK(result.out.empty());
  // "gliograd: ..." ends the program; all lines before it are notes of work that went well.
  const std::vector<std::string> lines = lines_of(result.err);
  int own = 0;
  for (const std::string& line : lines) own += line.rfind("gliograd: ", 0) == 0;
  CHECK(own == 1);
  REQUIRE(!lines.empty());
  CHECK(lines.back().rfind("gliograd: ", 0) == 0);
  CHECK(!contains(result.err, "  at "));
  return lines.back();
}

}  // namespace gliograd::test
