// Runs that are killed, interrupted, doubled, changed, or out of disk.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>

#include "tests/support/cohort.hpp"
#include "tests/support/run_folders.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

using std::chrono::duration;
using Clock = std::chrono::steady_clock;

const bool kLong = std::getenv("GLIOGRAD_LONG") != nullptr;
#ifdef __SANITIZE_ADDRESS__
const int kTrials = kLong ? 4 : 1;  // of a run that takes five times as long
#else
const int kTrials = kLong ? 20 : 1;
#endif

void sleep_seconds(double seconds) { std::this_thread::sleep_for(duration<double>(seconds)); }

// Waits until the file is there; false when the process ended first.
bool wait_for(Process& process, const std::string& file) {
  while (!std::filesystem::exists(file)) {
    if (!process.running()) return std::filesystem::exists(file);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

// Kills the command `kills` times at random moments within `seconds` of its start, then lets it
// end. Returns how many of them hit a living process.
int run_with_kills(const std::vector<std::string>& arguments, int kills, double seconds,
                   std::mt19937_64& random) {
  int hits = 0;
  for (int i = 0; i < kills; ++i) {
    Process process(arguments);
    sleep_seconds(std::uniform_real_distribution<double>(0, seconds)(random));
    if (process.running()) ++hits;
    process.signal(SIGKILL);
    process.wait();
  }
  const CommandResult last = test::gliograd(arguments);
  INFO(last.err);
  REQUIRE(last.code == 0);
  return hits;
}

struct Timed {
  CommandResult result;
  double seconds;
};
Timed timed(const std::vector<std::string>& arguments) {
  const auto start = Clock::now();
  CommandResult result = test::gliograd(arguments);
  return {result, duration<double>(Clock::now() - start).count()};
}

}  // namespace

TEST_CASE("resumption: kill -9 at random moments changes no byte of what a run ends with") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  const std::vector<std::vector<std::string>> ways = {
      {"--permute", "2", "--repeats", "2"},
      {"--select", "inner", "--ema", "0.9", "--optimizer", "adamw"},
      {"--dtype", "bf16", "--select", "inner"},
      {"--select", "holdout", "--optimizer", "sgd", "--preset", "full", "--fuse", "shape,age"}};
  const size_t chosen = random() % ways.size();  // one of them, all in the long tests
  for (size_t way = 0; way < ways.size(); ++way) {
    if (!kLong && way != chosen) continue;
    std::vector<std::string> more = ways[way];
    more.insert(more.end(), {"--epochs", "8"});
    const std::string name = std::to_string(way);
    const Timed whole = timed(crossval(data, folder / ("whole" + name), more));
    INFO(whole.result.err);
    REQUIRE(whole.result.code == 0);
    for (int trial = 0; trial < kTrials; ++trial) {
      const std::string out = folder / ("killed" + name + "-" + std::to_string(trial));
      const int hits =
          run_with_kills(crossval(data, out, more), kLong ? 8 : 3, whole.seconds, random);
      MESSAGE("way ", way, ": ", hits, " kills in ", whole.seconds, " s");
      CHECK(difference(results_of(folder / ("whole" + name)), results_of(out)) == "");
      CHECK(files_below(out) == files_below(folder / ("whole" + name)));
    }
  }
}

TEST_CASE("resumption: a kill right behind any file goes on from it") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const std::vector<std::string> more = {"--permute", "1", "--threads", "1"};
  REQUIRE(test::gliograd(crossval(data, folder / "whole", more)).code == 0);
  const auto expected = results_of(folder / "whole");
  std::vector<std::string> stops = {"lock",
                                    "config.toml",
                                    "folds.csv",
                                    "fold-0-0/state.h5",
                                    "fold-0-0/model.h5",
                                    "fold-0-0/history.csv",
                                    "fold-0-0/predictions.csv",
                                    "fold-0-0/timing.json",
                                    "fold-0-0/done",
                                    "fold-0-2/model.h5.part",
                                    "permutation.csv",
                                    "predictions.csv",
                                    "metrics.json"};
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  if (!kLong) {  // four of them
    std::mt19937_64 random(seed);
    std::shuffle(stops.begin(), stops.end(), random);
    stops.resize(4);
  }
  for (size_t i = 0; i < stops.size(); ++i) {
    const std::string out = folder / std::to_string(i);
    {
      Process process(crossval(data, out, more));
      wait_for(process, out + "/" + stops[i]);
      process.signal(SIGKILL);
      process.wait();
    }
    const CommandResult last = test::gliograd(crossval(data, out, more));
    INFO("killed behind ", stops[i], ": ", last.err);
    CHECK(last.code == 0);
    CHECK(difference(expected, results_of(out)) == "");
    CHECK(files_below(out) == files_below(folder / "whole"));
  }
}

TEST_CASE("resumption: Ctrl-C exits 130 and leaves a folder that the same command takes up") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const std::vector<std::string> more = {"--epochs", "12"};
  REQUIRE(test::gliograd(crossval(data, folder / "whole", more)).code == 0);
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string out = folder / std::to_string(signal);
    Process process(crossval(data, out, more));
    REQUIRE(wait_for(process, out + "/fold-0-0/state.h5"));
    process.signal(signal);
    const CommandResult stopped = process.wait();
    INFO(stopped.err);
    CHECK(stopped.code == 130);
    CHECK(stopped.out.empty());
    CHECK(lines_of(stopped.err).back() ==
          "gliograd: interrupted; the same command goes on where it stopped");
    for (const std::string& name : files_below(out)) CHECK(!contains(name, ".part"));
    CHECK(!std::filesystem::exists(out + "/predictions.csv"));
    CHECK(test::gliograd(crossval(data, out, more)).code == 0);
    CHECK(difference(results_of(folder / "whole"), results_of(out)) == "");
  }
}

TEST_CASE("run folder: a second process on it is refused, and does no harm to the first") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const std::string out = folder / "run";
  const std::vector<std::string> arguments = crossval(data, out, {"--epochs", "60"});
  Process first(arguments);
  REQUIRE(wait_for(first, out + "/fold-0-0/state.h5"));
  CHECK(refusal_of(arguments) == "gliograd: " + out + ": in use by another process");
  first.signal(SIGINT);
  CHECK(first.wait().code == 130);
}

TEST_CASE("run folder: in use from before its first file, as by a process just started") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  std::filesystem::create_directory(folder / "run");
  const int lock = open((folder / "run/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(flock(lock, LOCK_EX) == 0);
  CHECK(contains(refusal_of(crossval(data, folder / "run")), "in use by another process"));
  close(lock);
  CHECK(files_below(folder / "run") == std::vector<std::string>{"lock"});
}

TEST_CASE("run folder: other settings and other data are refused by name, other threads are not") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const std::string out = folder / "run";
  REQUIRE(test::gliograd(crossval(data, out)).code == 0);
  const auto before = results_of(out);
  const struct {
    std::vector<std::string> change;
    const char* text;
  } cases[] = {
      {{"--epochs", "4"}, "epochs = 3, not 4"},
      {{"--seed", "6"}, "seed = 5, not 6"},
      {{"--learning-rate", "0.0020001"}, "learning-rate = 0.002, not 0.0020001"},
      {{"--target", "Subtype=1"}, "target = Subtype=2, not Subtype=1"},
      {{"--folds", "4"}, "folds = 3, not 4"},
      {{"--select", "holdout"}, "select = last, not holdout"},
      {{"--preset", "off"}, "preset = light, not off"},
      {{"--augment", "gamma-probability=0"}, "augment = , not gamma-probability=0"},
      {{"--balance-classes", "false"}, "balance-classes = true, not false"},
      {{"--intra-threads", "2"}, "intra-threads = 1, not 2"},
  };
  for (const auto& one : cases) {
    const std::string line = refusal_of(crossval(data, out, one.change));
    INFO(line);
    CHECK(contains(line, out + "/config.toml"));
    CHECK(contains(line, one.text));
  }
  const std::string other = write_set(identified_cohort(24, 0, 7), folder / "other.h5");
  CHECK(contains(refusal_of(crossval(other, out)), "the data has changed"));
  CHECK(test::gliograd(
            crossval(data, out, {"--threads", "1", "--concurrent-folds", "2", "--no-progress"}))
            .code == 0);
  CHECK(difference(before, results_of(out)) == "");
}

TEST_CASE("run folder: one from another kind of CPU needs --allow-other-machine") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const std::string out = folder / "run", config = out + "/config.toml";
  REQUIRE(test::gliograd(crossval(data, out)).code == 0);
  std::string text = read_file(config);
  const size_t at = text.find("kind = ");
  REQUIRE(at != std::string::npos);
  write_file(config, text.replace(at, text.find('\n', at) - at, "kind = \"GenuineOther avx9\""));
  const std::string line = refusal_of(crossval(data, out));
  CHECK(contains(line, "machine.kind = GenuineOther avx9"));
  CHECK(contains(line, "--allow-other-machine"));
  CHECK(test::gliograd(crossval(data, out, {"--allow-other-machine"})).code == 0);
}

TEST_CASE("run folder: what is none is left alone") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  std::filesystem::create_directory(folder / "photos");
  write_file(folder / "photos/cat.jpg", "a cat");
  CHECK(contains(refusal_of(crossval(data, folder / "photos")), "not a run folder"));
  CHECK(files_below(folder / "photos") == std::vector<std::string>{"cat.jpg"});
  CHECK(contains(refusal_of(crossval(data, folder / "photos/cat.jpg")), "this is a file"));
  CHECK(contains(refusal_of(crossval(data, folder / "photos/cat.jpg/run")), "cannot be made"));
  write_file(folder / "photos/config.toml", "epochs = [");
  CHECK(contains(refusal_of(crossval(data, folder / "photos")), "config.toml: line 1"));
}

TEST_CASE("run folder: a damaged file in it is named") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  const std::string out = folder / "run";
  REQUIRE(test::gliograd(crossval(data, out)).code == 0);
  for (const char* name :
       {"fold-0-1/predictions.csv", "fold-0-1/history.csv", "fold-0-1/timing.json"}) {
    const std::string path = out + "/" + name, whole = read_file(path);
    const std::string without_last = whole.substr(0, whole.rfind('\n', whole.size() - 2) + 1);
    for (const std::string& damaged : {std::string(), whole.substr(0, whole.size() / 2),
                                       without_last, std::string("\xff\xfe\x00rubbish", 10)}) {
      write_file(path, damaged);
      const std::string line = refusal_of(crossval(data, out));
      INFO(line);
      CHECK((contains(line, path) || contains(line, "repeat 0, fold 1: finished, but its ")));
    }
    write_file(path, whole);
  }
  const auto with = [&](const std::string& name, const std::string& content) {
    const std::string path = out + "/" + name, whole = read_file(path);
    write_file(path, content);
    std::string line = refusal_of(crossval(data, out));
    write_file(path, whole);
    return line;
  };
  // A label turned round, and epochs that are none.
  std::string rows = read_file(out + "/fold-0-1/predictions.csv");
  const size_t label = rows.find(",0,1,");  // repeat 0, fold 1
  REQUIRE(label != std::string::npos);
  rows[label + 5] = rows[label + 5] == '0' ? '1' : '0';
  CHECK(contains(with("fold-0-1/predictions.csv", rows), "does not hold its test patients"));
  CHECK(contains(with("fold-0-1/history.csv",
                      "epoch,steps,lr,train_loss,inner_loss,inner_auc\nnan,1e300,1,1,,\n"),
                 "fold-0-1/history.csv: line 2"));
  for (const char* permutations :
       {"1,0.5\n", "index,auc\n1,nan\n", "index,auc\n1,7\n", "index,auc\nnan,0.5\n",
        "index,auc\n1e300,0.5\n", "index,auc\n-4,0.5\n", "index,auc\n1,0.5\n1,0.6\n"}) {
    write_file(out + "/permutation.csv", permutations);
    const std::string line = refusal_of(crossval(data, out));
    INFO(permutations, " -> ", line);
    CHECK(contains(line, out + "/permutation.csv: line "));
  }
  std::filesystem::remove(out + "/permutation.csv");
  std::filesystem::rename(out + "/fold-0-1/model.h5", folder / "model.h5");
  CHECK(contains(refusal_of(crossval(data, out)), out + "/fold-0-1/model.h5: is missing"));
  std::filesystem::rename(folder / "model.h5", out + "/fold-0-1/model.h5");
  std::filesystem::remove(out + "/fold-0-1/done");
  write_file(out + "/fold-0-1/state.h5", "no HDF5");
  CHECK(contains(refusal_of(crossval(data, out)), out + "/fold-0-1/state.h5"));
}

TEST_CASE("full disk: exit 1, one line, and what was there is whole") {
  const TempDir folder;
  // Small enough to be read and written again below the limit, with a network that is not.
  const std::string data = write_set(tiny_cohort({.patients = 8}), folder / "set.h5");
  const std::string out = folder / "run";
  const std::vector<std::string> arguments = crossval(data, out, {"--width", "16"});
  const CommandResult full = gliograd_with_file_limit(64 << 10, arguments);
  INFO(full.err);
  CHECK(full.code == 1);
  CHECK(full.out.empty());
  const std::vector<std::string> lines = lines_of(full.err);
  CHECK(lines.back().rfind("gliograd: repeat 0, fold ", 0) == 0);
  CHECK(contains(lines.back(), ": " + out + "/fold-0-"));
  CHECK(contains(lines.back(), "state.h5: File too large"));
  CHECK(files_below(out) == std::vector<std::string>{"config.toml", "folds.csv", "lock"});
  // With room again the run goes on, and ends as one that always had some.
  CHECK(test::gliograd(arguments).code == 0);
  REQUIRE(test::gliograd(crossval(data, folder / "whole", {"--width", "16"})).code == 0);
  CHECK(difference(results_of(folder / "whole"), results_of(out)) == "");
  // A finished run asked again on a full disk.
  const auto before = results_of(out);
  const CommandResult again = gliograd_with_file_limit(512, arguments);
  CHECK(again.code == 1);
  CHECK(difference(before, results_of(out)) == "");
}

TEST_CASE("full disk: standard output that cannot be written is exit 1, with the run complete") {
  const TempDir folder;
  const std::string data = write_set(tiny_cohort(), folder / "set.h5");
  std::vector<std::string> all = {"sh", "-c", "exec \"$@\" > /dev/full", "sh", program_path()};
  for (const std::string& one : crossval(data, folder / "run")) all.push_back(one);
  const CommandResult result = run_command(all);
  CHECK(result.code == 1);
  CHECK(lines_of(result.err).back() == "gliograd: standard output: cannot be written");
  CHECK(std::filesystem::exists(folder / "run/metrics.json"));
}
