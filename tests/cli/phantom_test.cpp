#include <filesystem>

#include "tests/support/support.hpp"

using namespace gliograd::test;

TEST_CASE("phantom command: writes a cohort that prepare lgg reads, and says what it planted") {
  const TempDir folder;
  const std::string cohort = folder / "cohort", file = folder / "cohort.h5";
  const CommandResult made = gliograd::test::gliograd(
      {"phantom", "--out", cohort, "--patients", "8", "--size", "32", "--slices", "3"});
  CHECK(made.code == 0);
  CHECK(contains(made.out, cohort + ": 8 made-up patients"));
  CHECK(contains(made.out, "planted: COCCluster=2"));
  CHECK(made.err.empty());
  const CommandResult read =
      gliograd::test::gliograd({"prepare", "lgg", cohort, "--size", "32", "--out", file});
  CHECK(read.code == 0);
  CHECK(contains(read.out, "8 patients"));
  const CommandResult again = gliograd::test::gliograd({"phantom", "--out", cohort});
  CHECK(again.code == 2);
  CHECK(contains(again.err, cohort + ": is not empty"));
}

TEST_CASE("phantom command: --help has an example; numbers out of range and a full disk") {
  CHECK(contains(gliograd::test::gliograd({"phantom", "--help"}).out, "Example: gliograd phantom"));
  const TempDir folder;
  CHECK(gliograd::test::gliograd({"phantom", "--out", folder / "x", "--patients", "0"}).code == 2);
  CHECK(!std::filesystem::exists(folder / "x"));
  // A limit on the size of files is what a full disk is: writes fail half-way.
  const CommandResult full =
      run_command({"/bin/sh", "-c",
                   "ulimit -f 1; exec \"$0\" phantom --out \"$1\" --size 256 "
                   "--patients 6",
                   program_path(), folder / "x"});
  CHECK(full.code == 1);
  CHECK(contains(full.err, ".tif: File too large"));
  CHECK(std::filesystem::is_empty(folder.path()));
}
