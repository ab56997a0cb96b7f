#include "engine/core/atomic_file.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

/// No file may grow beyond `bytes` while this lives: what a full disk looks like to a writer.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

size_t entries(const TempDir& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("atomic_file: what was written is read back, and nothing else is left in the folder") {
  const TempDir folder;
  const std::string path = folder / "a.bin";
  const std::string text("one\0two", 7);
  write_atomically(path, text);
  CHECK(read_text(path) == text);
  write_atomically(path, "");
  CHECK(read_bytes(path).empty());
  CHECK(entries(folder) == 1);
  struct stat info {};
  stat(path.c_str(), &info);
  CHECK((info.st_mode & 0600) == 0600);
}

TEST_CASE("atomic_file: a disk that is full leaves the old file whole and no temporary") {
  const TempDir folder;
  const std::string path = folder / "a.bin";
  write_atomically(path, "old");
  {
    const FileSizeLimit limit(4096);
    const std::string big(10000, 'x');
    CHECK_THROWS_AS(write_atomically(path, big), WorkError);
    CHECK(contains(error_of([&] { write_atomically(path, big); }), path + ": File too large"));
  }
  CHECK(read_text(path) == "old");
  CHECK(entries(folder) == 1);
}

TEST_CASE("atomic_file: a temporary file left by a killed process is taken over") {
  const TempDir folder;
  write_file(folder / "a.part", "half of something much longer");
  write_atomically(folder / "a", "new");
  CHECK(read_text(folder / "a") == "new");
  CHECK(entries(folder) == 1);
}

TEST_CASE("atomic_file: without commit the old file stays") {
  const TempDir folder;
  write_file(folder / "a", "old");
  {
    PendingFile pending(folder / "a");
    pending.write("new", 3);
    CHECK_THROWS_AS(pending.check_room(uint64_t{1} << 60), WorkError);
  }
  CHECK(read_text(folder / "a") == "old");
  CHECK(entries(folder) == 1);
}

TEST_CASE("atomic_file: a symbolic link stays one, and its target is replaced") {
  const TempDir folder;
  write_file(folder / "target", "old");
  REQUIRE(symlink((folder / "target").c_str(), (folder / "link").c_str()) == 0);
  write_atomically(folder / "link", "new");
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(read_text(folder / "target") == "new");
}

TEST_CASE("atomic_file: what cannot be read or written is named in one line") {
  const TempDir folder;
  const std::string missing = folder / "missing", root = folder.path().string();
  CHECK(error_of([&] { read_bytes(missing); }) == missing + ": No such file or directory");
  CHECK(error_of([&] { read_bytes(root); }) == root + ": is a folder; a file is needed");
  CHECK(error_of([&] { read_bytes("/dev/null"); }) == "/dev/null: is not a regular file");
  CHECK(error_of([&] { write_atomically(root, "x"); }) ==
        root + ": is a folder; a file name is needed");
  CHECK(error_of([&] { write_atomically(missing + "/a", "x"); }) ==
        missing + "/a: No such file or directory");
  CHECK(error_of([&] { write_atomically("/dev/null", "x"); }) ==
        "/dev/null: is not a regular file");
  CHECK_THROWS_AS(write_atomically("", "x"), Error);
}
