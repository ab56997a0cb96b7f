#include "apps/study/ledger.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <thread>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::study;
using test::contains;
using test::error_of;

TEST_CASE("ledger: looks are kept in order and counted by target") {
  const test::TempDir folder;
  const std::string path = folder / "looks.csv";
  CHECK(read_ledger(path).empty());
  record_look(path, {"2026-01-02T03:04:05Z", "COCCluster=2", "00ff", 0.7123456, "runs/a, b"});
  record_look(path, {utc_now(), "RNASeqCluster=2", "00ff", 1, "runs/b"});
  record_look(path, {utc_now(), "COCCluster=2", "0100", 0, "runs/c"});
  CHECK(contains(test::read_file(path),
                 "date,target,settings,auc,run\n"
                 "2026-01-02T03:04:05Z,COCCluster=2,00ff,0.712346,\"runs/a, b\"\n"));
  const std::vector<Look> looks = read_ledger(path);
  REQUIRE(looks.size() == 3);
  CHECK(looks[0].run == "runs/a, b");
  CHECK(looks[1].auc == 1);
  CHECK(looks[2].date.size() == 20);
  CHECK(count_looks(looks, "COCCluster=2") == 2);
  CHECK(count_looks(looks, "COCCluster=3") == 0);
}

TEST_CASE("ledger: processes that write at once lose no line") {
  const test::TempDir folder;
  const std::string path = folder / "looks.csv";
  std::vector<pid_t> children;
  for (int c = 0; c < 4; ++c) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (int i = 0; i < 10; ++i) {
        record_look(path, {utc_now(), "t", "s", 0.5, std::to_string(c) + "-" + std::to_string(i)});
      }
      _exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  CHECK(count_looks(read_ledger(path), "t") == 40);
}

TEST_CASE("ledger: threads that write at once lose no line" * doctest::test_suite("threads")) {
  const test::TempDir folder;
  const std::string path = folder / "looks.csv";
  std::vector<std::thread> team;
  for (int t = 0; t < 4; ++t) {
    team.emplace_back([&path, t] {
      for (int i = 0; i < 10; ++i) {
        record_look(path, {utc_now(), "t", "s", 0.5, std::to_string(t) + "-" + std::to_string(i)});
      }
    });
  }
  for (std::thread& thread : team) thread.join();
  CHECK(count_looks(read_ledger(path), "t") == 40);
}

TEST_CASE("ledger: what is no ledger is left as it is") {
  const test::TempDir folder;
  const std::string path = folder / "looks.csv";
  const Look look{utc_now(), "t", "s", 0.5, "r"};
  const auto refused = [&](const std::string& content) {
    test::write_file(path, content);
    std::string message = error_of([&] { record_look(path, look); });
    CHECK(test::read_file(path) == content);
    CHECK(contains(message, path));
    return message;
  };
  CHECK(contains(refused("my,notes\n"), "is no ledger"));
  CHECK(contains(refused("date,target,settings,auc,run\na,b,c\n"), "line 2: 3 fields"));
  CHECK(contains(refused("date,target,settings,auc,run\na,b,c,nan,e\n"), "no number from 0 to 1"));
  CHECK(contains(refused("date,target,settings,auc,run\na,b,c,0.5,e"), "incomplete"));
  CHECK(contains(error_of([&] { record_look(folder.path().string(), look); }), "Is a directory"));
  CHECK(contains(error_of([&] {
                   record_look(folder / "x", {"d", "t", "s", std::nan(""), "r"});
                 }),
                 "lies in [0, 1]"));
  CHECK(contains(error_of([&] {
                   record_look(folder / "x", {"d", "", "s", 0.5, "r"});
                 }),
                 "must not be empty"));
  CHECK_FALSE(std::filesystem::exists(folder / "x"));
}
