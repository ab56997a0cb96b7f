#include "engine/files/worker.hpp"

#include <csignal>
#include <random>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::files;
using namespace gliograd::test;

namespace {

/// This test program serves as a worker that misbehaves (tests/support/faulty_worker.hpp).
WorkerLimits faulty() {
  WorkerLimits limits;
  limits.program = "/proc/self/exe";
  limits.seconds = 1;
  limits.memory_bytes = uint64_t{64} << 20;
  return limits;
}

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

std::string run_error(Worker& worker, const std::string& kind) {
  return error_of([&] { worker.run(kind, "f.tif", bytes_of("x")); });
}

}  // namespace

TEST_CASE("worker: answers of any size come back, one after another, by one process") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  WorkerLimits limits = faulty();
  limits.seconds = 60;
  Worker worker(limits);
  pid_t process = 0;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{5000000}, size_t{7}}) {
    std::vector<uint8_t> sent(size);
    for (uint8_t& byte : sent) byte = static_cast<uint8_t>(random());
    const SharedBytes got = worker.run("echo", "f", sent);
    REQUIRE(got.size == size);
    CHECK(std::equal(sent.begin(), sent.end(), got.data.get()));
    if (process != 0) CHECK(worker.process() == process);
    process = worker.process();
  }
}

TEST_CASE("worker: an answer outlives its worker") {
  SharedBytes got;
  {
    Worker worker(faulty());
    got = worker.run("echo", "f", bytes_of("still here"));
  }
  CHECK(std::string(got.data.get(), got.data.get() + got.size) == "still here");
}

TEST_CASE("worker: what the decoder says is said of the file, and the worker goes on") {
  Worker worker(faulty());
  CHECK(error_of([&] { worker.run("text", "f.tif", bytes_of("is empty")); }) == "f.tif: is empty");
  CHECK(worker.run("echo", "f", bytes_of("abc")).size == 3);
}

TEST_CASE(
    "worker: one that dies, gives up or is stuck means a damaged file; the next file is read") {
  Worker worker(faulty());
  CHECK(run_error(worker, "die") == "f.tif: damaged: its decoder died (Killed)");
  CHECK(worker.run("echo", "f", bytes_of("abc")).size == 3);
  CHECK(run_error(worker, "exit") == "f.tif: damaged: its decoder gave up");
  CHECK(run_error(worker, "spin") == "f.tif: damaged: its decoder took longer than 1 s");
  CHECK(worker.run("echo", "f", bytes_of("abc")).size == 3);
}

TEST_CASE("worker: one killed between two files is replaced, and no file is blamed") {
  Worker worker(faulty());
  worker.run("echo", "f", bytes_of("abc"));
  REQUIRE(kill(worker.process(), SIGKILL) == 0);
  CHECK(worker.run("echo", "f", bytes_of("abcd")).size == 4);
}

TEST_CASE("worker: one that does not even listen is given up") {
  Worker worker(faulty());
  worker.run("echo", "f", bytes_of("abc"));
  REQUIRE(kill(worker.process(), SIGSTOP) == 0);
  CHECK(run_error(worker, "echo") == "f.tif: damaged: its decoder took longer than 1 s");
}

#ifndef __SANITIZE_ADDRESS__
TEST_CASE("worker: memory beyond the limit is refused in words") {
  Worker worker(faulty());
  CHECK(run_error(worker, "eat") == "f.tif: needs more memory than its decoder may take");
  CHECK(worker.run("echo", "f", bytes_of("abc")).size == 3);
}
#endif

TEST_CASE("worker: a program that is none cannot be taken for one") {
  WorkerLimits limits = faulty();
  limits.program = "/bin/true";
  CHECK_THROWS_AS(Worker(limits).run("echo", "f", {}), WorkError);
  limits.program = "/no/such/program";
  CHECK_THROWS_AS(Worker(limits).run("echo", "f", {}), WorkError);
}
