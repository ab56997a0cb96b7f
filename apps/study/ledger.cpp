#include "apps/study/ledger.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "apps/study/predictions.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

const std::string kHeader = "date,target,settings,auc,run\n";

std::string line_of(const Look& look) {
  char auc[32];
  const auto end = std::to_chars(auc, auc + sizeof auc, look.auc, std::chars_format::fixed, 6).ptr;
  return csv_field(look.date) + "," + csv_field(look.target) + "," + csv_field(look.settings) +
         "," + std::string(auc, end) + "," + csv_field(look.run) + "\n";
}

// Open and locked; the lock goes with the descriptor.
class LockedFile {
 public:
  explicit LockedFile(const std::string& path)
      : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)), path_(path) {
    if (file_ < 0) fail();
    while (::flock(file_, LOCK_EX) != 0) {
      if (errno == EINTR) continue;
      const int why = errno;
      ::close(file_);
      errno = why;
      fail();
    }
  }
  ~LockedFile() { ::close(file_); }
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;

  off_t size() const {
    struct stat info {};
    if (::fstat(file_, &info) != 0) fail();
    return info.st_size;
  }
  void append(const std::string& text) {
    const off_t before = size();
    const ssize_t wrote = ::write(file_, text.data(), text.size());
    if (wrote == static_cast<ssize_t>(text.size()) && ::fsync(file_) == 0) return;
    const int why = wrote < 0 || static_cast<size_t>(wrote) == text.size() ? errno : ENOSPC;
    const bool taken_back = ::ftruncate(file_, before) == 0;
    throw WorkError(concat_text(path_, ": cannot be written: ", std::strerror(why),
                                taken_back ? "" : "; its last line may be incomplete"));
  }

 private:
  [[noreturn]] void fail() const {
    const std::string text = concat_text(path_, ": cannot be written: ", std::strerror(errno));
    const bool wrong_path =
        errno == ENOENT || errno == ENOTDIR || errno == EISDIR || errno == EACCES;
    if (wrong_path) throw Error(text);
    throw WorkError(text);
  }
  int file_;
  std::string path_;
};

std::vector<Look> parse(const std::string& text, const std::string& path) {
  if (text.rfind(kHeader, 0) != 0) {
    throw Error(concat_text(path, ": is no ledger: its first line must be \"",
                            kHeader.substr(0, kHeader.size() - 1), "\""));
  }
  const CsvRecords records = parse_csv(text, path);
  std::vector<Look> looks;
  for (size_t r = 1; r < records.fields.size(); ++r) {
    const std::vector<std::string>& fields = records.fields[r];
    const auto refuse = [&](const std::string& what) {
      throw Error(concat_text(path, ": line ", records.lines[r], ": ", what));
    };
    if (fields.size() != 5) refuse(concat_text(fields.size(), " fields; 5 are needed"));
    Look look{fields[0], fields[1], fields[2], 0, fields[4]};
    const char* end = fields[3].data() + fields[3].size();
    const auto [stop, error] = std::from_chars(fields[3].data(), end, look.auc);
    if (error != std::errc() || stop != end || !(look.auc >= 0 && look.auc <= 1)) {
      refuse("AUC \"" + fields[3] + "\" is no number from 0 to 1");
    }
    looks.push_back(look);
  }
  return looks;
}

}  // namespace

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

void record_look(const std::string& path, const Look& look) {
  GG_CHECK(look.auc >= 0 && look.auc <= 1, "ledger: an AUC lies in [0, 1]; got ", look.auc);
  GG_CHECK(
      !look.date.empty() && !look.target.empty() && !look.settings.empty() && !look.run.empty(),
      "ledger: date, target, settings and run must not be empty");
  LockedFile file(path);
  const bool fresh = file.size() == 0;
  if (!fresh) {
    const std::string text = read_text(path);
    parse(text, path);
    if (text.back() != '\n') throw Error(concat_text(path, ": its last line is incomplete"));
  }
  file.append((fresh ? kHeader : "") + line_of(look));
}

std::vector<Look> read_ledger(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return {};
  const std::string text = read_text(path);
  return text.empty() ? std::vector<Look>() : parse(text, path);
}

int count_looks(const std::vector<Look>& looks, const std::string& target) {
  return static_cast<int>(
      std::count_if(looks.begin(), looks.end(), [&](const Look& l) { return l.target == target; }));
}

}  // namespace gliograd::study
