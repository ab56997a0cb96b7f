#include "engine/core/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/base.hpp"

namespace gliograd {
namespace {

/// "FILE: No such file or directory"; what the user chose wrongly is Error, what failed WorkError.
[[noreturn]] void fail(const std::string& path, int code) {
  const std::string text = path + ": " + std::strerror(code);
  switch (code) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
    case EPERM:
    case ELOOP:
    case ENAMETOOLONG: throw Error(text);
    default: throw WorkError(text);
  }
}

/// Closes at the end of the scope.
struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

template <class Bytes>
Bytes read_whole(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.value < 0) fail(path, errno);
  struct stat info {};
  if (::fstat(file.value, &info) != 0) fail(path, errno);
  if (S_ISDIR(info.st_mode)) throw Error(path + ": is a folder; a file is needed");
  if (!S_ISREG(info.st_mode)) throw Error(path + ": is not a regular file");
  Bytes bytes;
  try {
    bytes.resize(static_cast<size_t>(info.st_size));
  } catch (const std::bad_alloc&) {
    throw WorkError(path + ": no memory for its " + std::to_string(info.st_size) + " bytes");
  }
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(file.value, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw WorkError(path + ": " + std::strerror(errno));
    if (got == 0) break;  // it became shorter while it was read
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

/// The file that a chain of symbolic links ends at; the path itself where it is none.
std::string resolve_link(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return path;
  char resolved[PATH_MAX];
  return ::realpath(path.c_str(), resolved) != nullptr ? std::string(resolved) : path;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

std::vector<uint8_t> read_bytes(const std::string& path) {
  return read_whole<std::vector<uint8_t>>(path);
}

std::string read_text(const std::string& path) { return read_whole<std::string>(path); }

void write_atomically(const std::string& path, const void* bytes, size_t size) {
  PendingFile file(path);
  file.write(bytes, size);
  file.commit();
}

void write_atomically(const std::string& path, std::string_view text) {
  write_atomically(path, text.data(), text.size());
}

PendingFile::PendingFile(const std::string& path) : shown_(path), path_(resolve_link(path)) {
  if (path_.empty()) throw Error("an output file needs a name");
  struct stat there {};
  if (::stat(path_.c_str(), &there) == 0) {
    if (S_ISDIR(there.st_mode)) throw Error(shown_ + ": is a folder; a file name is needed");
    if (!S_ISREG(there.st_mode)) throw Error(shown_ + ": is not a regular file");
  }
  temporary_ = path_ + ".part";
  // One writer at a time: whoever holds the lock on the file that still bears the name. Another
  // may have renamed it between our open and our lock; then there is a new one to open.
  for (;;) {
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0) fail(shown_, errno);
    // A lock of the open file, not flock: HDF5 takes one of those on the files it writes itself.
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    while (::fcntl(descriptor_, F_OFD_SETLKW, &whole) != 0 && errno == EINTR) {
    }
    struct stat mine {
    }, named{};
    if (::fstat(descriptor_, &mine) == 0 && ::stat(temporary_.c_str(), &named) == 0 &&
        mine.st_ino == named.st_ino && mine.st_dev == named.st_dev) {
      break;
    }
    ::close(descriptor_);
  }
  if (::ftruncate(descriptor_, 0) != 0) {
    const int code = errno;
    ::unlink(temporary_.c_str());
    ::close(descriptor_);
    fail(shown_, code);
  }
}

PendingFile::~PendingFile() {
  if (descriptor_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(descriptor_);
}

void PendingFile::write(const void* bytes, size_t size) {
  const char* at = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t put = ::write(descriptor_, at, size);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw WorkError(shown_ + ": " + std::strerror(errno));
    at += put;
    size -= static_cast<size_t>(put);
  }
}

void PendingFile::check_room(uint64_t bytes) const {
  struct statvfs room {};
  if (::fstatvfs(descriptor_, &room) != 0) return;  // unknown: the write itself will tell
  const uint64_t left = static_cast<uint64_t>(room.f_bavail) * room.f_frsize;
  if (left < bytes) {
    throw WorkError(shown_ + ": needs " + std::to_string(bytes >> 20) + " MiB, the disk has " +
                    std::to_string(left >> 20) + " MiB left");
  }
}

void PendingFile::commit() {
  if (::fsync(descriptor_) != 0) throw WorkError(shown_ + ": " + std::strerror(errno));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(shown_, errno);
  // The new name is durable once the folder is: without this a power cut can bring the old back.
  const Descriptor folder{::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.value >= 0) ::fsync(folder.value);
  ::close(descriptor_);
  descriptor_ = -1;
}

}  // namespace gliograd
