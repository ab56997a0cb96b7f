#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/readers/prepared_set.hpp"
#include "tests/support/lgg_folder.hpp"

using namespace gliograd::test;

namespace fs = std::filesystem;

namespace {

CommandResult prepare(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {"prepare"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return gliograd::test::gliograd(all);
}

/// Error messages; a slow machine may have printed progress before them.
size_t errors_in(const std::string& text) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find("gliograd: ", at)) != std::string::npos; ++at) ++count;
  return count;
}

/// Whether one message is all there is at the end: "gliograd: ..." and its line end.
bool ends_in_one_line(const std::string& text) {
  const size_t at = text.rfind("gliograd: ");
  return at != std::string::npos && text.find('\n', at) == text.size() - 1;
}

}  // namespace

TEST_CASE("prepare: writes a set, says what it found, and gives the same bytes for any threads") {
  const LggFolder folder(4, 3, 4);
  const TempDir out;
  const CommandResult one =
      prepare({"lgg", folder.path(), "--out", out / "a.h5", "--size", "24", "--threads", "1"});
  INFO(one.err);
  REQUIRE(one.code == 0);
  CHECK(contains(one.out, "4 patients, 8 slices (8 with tumor), 24x24 pixels"));
  CHECK(contains(one.out, "COCCluster"));
  CHECK(contains(one.out, "1: 2  2: 2  missing: 0"));
  const CommandResult three = prepare(
      {"lgg", folder.path(), "--out", out / "b.h5", "--size", "24", "--threads", "3", "--json"});
  REQUIRE(three.code == 0);
  CHECK(read_file(out / "a.h5") == read_file(out / "b.h5"));
  const nlohmann::json summary = nlohmann::json::parse(three.out);
  CHECK(summary["patients"] == 4);
  CHECK(summary["slices"] == 8);
  CHECK(summary["labels"]["COCCluster"]["classes"]["2"] == 2);
  CHECK(summary["labels"]["gender"]["missing"] == 4);
  CHECK(summary["covariates"] == nlohmann::json{"age_at_initial_pathologic"});
  const gliograd::data::Dataset set = gliograd::data::read_prepared(out / "a.h5");
  CHECK(summary["digest"] == set.digest);
  CHECK(fs::file_size(out / "a.h5") > 0);
}

TEST_CASE("prepare: bad input exits 2 with one line, and nothing stands under the final name") {
  const LggFolder folder(2, 2);
  const TempDir out;
  const std::string file = out / "a.h5";
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& part) {
    const CommandResult result = prepare(arguments);
    INFO(result.err);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(errors_in(result.err) == 1);
    CHECK(ends_in_one_line(result.err));
    CHECK(contains(result.err, part));
    CHECK(fs::is_empty(out.path()));
  };
  refused({"lgg", folder.path() + "/none", "--out", file}, "/none: No such file or directory");
  refused({"lgg", folder.path(), "--out", file, "--covariate", "none"}, "no column \"none\"");
  refused({"lgg", folder.path(), "--out", out.path().string()}, "is a folder");
  refused({"lgg", folder.path(), "--out", out / "none/a.h5"}, "No such file or directory");
  refused({"gbm", folder.path(), "--out", file}, "holds neither");
  refused({"images", folder.path(), "--out", file}, "holds no JPEG or PNG images");
  write_file(folder.image(1, 3), read_file(folder.image(1, 3)).substr(0, 100));
  refused({"lgg", folder.path(), "--out", file}, folder.image(1, 3) + ": damaged");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"lgg", folder.path()},
        {"lgg", folder.path(), "--out", file, "--size", "0"},
        {"lgg", folder.path(), "--out", file, "--threads", "-1"},
        {"lgg", folder.path(), "--out", file, "--crop", "circle"},
        {"none"}}) {
    CHECK(prepare(arguments).code == 2);
  }
}

TEST_CASE("prepare: a full disk exits 1 with one line and leaves the old file whole") {
  const LggFolder folder(4, 4);
  const TempDir out;
  write_file(out / "a.h5", "old");
  // No file may grow beyond 64 KiB: what a writer sees of a full disk.
  const CommandResult result = run_command({"sh", "-c", "ulimit -S -f 64 2>/dev/null; exec \"$@\"",
                                            "sh", gliograd::test::program_path(), "prepare", "lgg",
                                            folder.path(), "--out", out / "a.h5"});
  INFO(result.err);
  CHECK(result.code == 1);
  CHECK(errors_in(result.err) == 1);
  CHECK(ends_in_one_line(result.err));
  CHECK(contains(result.err, (out / "a.h5") + ": File too large"));
  CHECK(read_file(out / "a.h5") == "old");
  CHECK(std::distance(fs::directory_iterator(out.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("prepare: --help has an example for each kind") {
  for (const char* kind : {"lgg", "gbm", "images"}) {
    const CommandResult help = prepare({kind, "--help"});
    CHECK(help.code == 0);
    CHECK(contains(help.out, std::string("Example: gliograd prepare ") + kind));
  }
  CHECK(!contains(gliograd::test::gliograd({"--help"}).out, "decode-worker"));
}
