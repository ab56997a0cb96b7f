#include "apps/cli/plan_cache.hpp"

#include <cstdlib>
#include <filesystem>

#include "apps/cli/run_folder.hpp"
#include "engine/core/atomic_file.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using test::contains;
using test::TempDir;

namespace {

// A variable of the environment, as it was before at the end of the scope.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    const char* before = std::getenv(name);
    had_ = before != nullptr;
    if (had_) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { had_ ? setenv(name_, before_.c_str(), 1) : unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  bool had_;
  std::string before_;
};

const std::string kHeader = "product,plan,ms,workspace,candidates\n";

}  // namespace

TEST_CASE("plan cache: one file a GPU and its versions, under the user's cache folder") {
  const Variable home("HOME", "/home/somebody");
  {
    const Variable cache("XDG_CACHE_HOME", "/var/cache/me");
    CHECK(cli::plan_cache_path("NVIDIA H200", "9.19.0", "13.1.0", 13000) ==
          "/var/cache/me/gliograd/"
          "plans-nvidia-h200-cudnn-9.19.0-cublaslt-13.1.0-driver-13000-v3.csv");
    const Variable off("GLIOGRAD_CACHE", "off");
    CHECK(cli::plan_cache_path("NVIDIA H200", "9.19.0", "13.1.0", 13000).empty());
  }
  const Variable cache("XDG_CACHE_HOME", "relative");
  CHECK(
      cli::plan_cache_path("A", "9", "13", 1).rfind("/home/somebody/.cache/gliograd/plans-a-", 0) ==
      0);
  const Variable none("HOME", "");
  CHECK(cli::plan_cache_path("A", "9", "13", 1).empty());
}

TEST_CASE(
    "plan cache: grows by what a run chose, keeps what it has, and starts anew when damaged") {
  const TempDir folder;
  const std::string path = folder / "deep/in/plans.csv";
  CHECK(cli::read_plan_cache(path).empty());
  cli::add_to_plan_cache(path, kHeader + "a,plan 1,0.5,0,2\n");
  cli::add_to_plan_cache(path, kHeader + "b,plan 2,0.5,0,2\n");
  CHECK(cli::read_plan_cache(path) == kHeader + "a,plan 1,0.5,0,2\nb,plan 2,0.5,0,2\n");
  cli::add_to_plan_cache(path, kHeader + "a,plan 3,0.25,0,2\n");  // timed anew: the newer one
  CHECK(contains(cli::read_plan_cache(path), "a,plan 3,0.25"));
  write_atomically(path, "rubbish\n");
  CHECK(cli::read_plan_cache(path).empty());
  cli::add_to_plan_cache(path, kHeader + "c,plan,1,0,1\n");
  CHECK(cli::read_plan_cache(path) == kHeader + "c,plan,1,0,1\n");
  cli::add_to_plan_cache("", kHeader);
  cli::add_to_plan_cache(folder / "deep/in/plans.csv/no/folder.csv", kHeader);  // noted alone
}

TEST_CASE("plan cache: a resumed run has its own choices, and the cache's where it has none") {
  const TempDir folder;
  const std::string cache = folder / "cache.csv";
  cli::add_to_plan_cache(cache, kHeader + "a,cached,0.5,0,2\nb,cached,0.5,0,2\n");
  cli::RunFolder run(folder / "run", {}, {}, false);
  run.use_plan_cache(cache);
  CHECK(run.load_plans() == kHeader + "a,cached,0.5,0,2\nb,cached,0.5,0,2\n");
  run.save_plans(kHeader + "a,own,1,0,2\n");
  cli::add_to_plan_cache(cache, kHeader + "a,newer,0.25,0,2\n");  // by another run meanwhile
  CHECK(run.load_plans() == kHeader + "a,own,1,0,2\nb,cached,0.5,0,2\n");
}

TEST_CASE("plan cache: a folder that cannot be looked into is noted, and ends no run") {
  const TempDir folder;
  std::filesystem::create_symlink("loop", folder / "loop");  // refused to root too
  const std::string path = folder / "loop/gliograd/plans.csv";
  CHECK(cli::read_plan_cache(path).empty());
  cli::add_to_plan_cache(path, kHeader + "a,b,1,0,1\n");
}
