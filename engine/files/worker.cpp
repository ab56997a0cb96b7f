#include "engine/files/worker.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "engine/core/error.hpp"

extern char** environ;

namespace gliograd::files {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // shadow memory is far beyond any limit of the address space
#else
constexpr bool kSanitized = false;
#endif

constexpr int kSocket = 3, kMemory = 4;  // descriptors in the worker
constexpr uint32_t kHello = 0x67676401;
constexpr uint64_t kLongestText = 4096;
constexpr char kMark[] = "GLIOGRAD_DECODE_WORKER";  // set in a worker's environment

std::string own_path() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  return size > 0 ? std::string(path, static_cast<size_t>(size)) : std::string();
}

/// The program itself; a test or bench program takes the gliograd beside it.
std::string worker_program() {
  const std::string own = own_path();
  const size_t slash = own.rfind('/');
  if (slash != std::string::npos && own.compare(slash + 1, 8, "gliograd") != 0) {
    std::string beside = own.substr(0, slash) + "/gliograd";
    if (::access(beside.c_str(), X_OK) == 0) return beside;
  }
  return "/proc/self/exe";  // even when the file was replaced meanwhile
}

/// Above the worker's own descriptors, so that moving them into place overwrites nothing.
int moved_up(int descriptor) {
  const int moved = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 10);
  ::close(descriptor);
  return moved;
}

bool write_all(int socket, const void* bytes, size_t size) {
  const char* at = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t put = ::send(socket, at, size, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += put;
    size -= static_cast<size_t>(put);
  }
  return true;
}

bool read_all(int socket, void* bytes, size_t size) {
  char* at = static_cast<char*>(bytes);
  while (size > 0) {
    const ssize_t got = ::recv(socket, at, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

uint64_t address_space_used() {
  unsigned long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%lu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

void set_soft_limit(int which, rlim_t value) {
  rlimit limit{};
  ::getrlimit(static_cast<__rlimit_resource>(which), &limit);
  limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? value : std::min(value, limit.rlim_max);
  ::setrlimit(static_cast<__rlimit_resource>(which), &limit);
}

/// Limits for one request; time counts from now.
void apply_limits(uint64_t memory_bytes, uint64_t seconds) {
  if (!kSanitized) set_soft_limit(RLIMIT_AS, memory_bytes);
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto spent = static_cast<uint64_t>(used.ru_utime.tv_sec + used.ru_stime.tv_sec);
  set_soft_limit(RLIMIT_CPU, spent + seconds + 1);
  ::alarm(static_cast<unsigned>(seconds));
}

}  // namespace

struct Worker::Request {
  char kind[16];
  uint64_t size;
  uint64_t memory_bytes;
  uint64_t seconds;
};

struct Worker::Answer {
  uint64_t size;        // bytes in the shared memory
  uint64_t text_bytes;  // of an error message that follows; 0: no error
};

Worker::~Worker() { stop(); }

void Worker::start() {
  // Only a program that serves as a worker may be started as one: without this, one that does not
  // would start itself again and again.
  if (std::getenv(kMark) != nullptr) throw WorkError("a decode worker cannot start another one");
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    throw WorkError(std::string("cannot start a decode worker: ") + std::strerror(errno));
  }
  socket_ = moved_up(pair[0]);
  const int theirs = moved_up(pair[1]);
  memory_ = moved_up(::memfd_create("gliograd-decode", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  // A mapping of ours must never lose its pages under us.
  ::fcntl(memory_, F_ADD_SEALS, F_SEAL_SHRINK);
  const timeval wait{limits_.seconds + 2, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  // What a dying library prints is not for the user; what a sanitizer prints is for us.
  if (!kSanitized) posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, theirs, kSocket);
  posix_spawn_file_actions_adddup2(&actions, memory_, kMemory);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own: Ctrl-C on the terminal is for the program, which then closes the socket.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const std::string program = limits_.program.empty() ? worker_program() : limits_.program;
  std::string name = "gliograd", command = "decode-worker", mark = std::string(kMark) + "=1";
  char* argv[] = {name.data(), command.data(), nullptr};
  std::vector<char*> environment;
  for (char** at = environ; *at != nullptr; ++at) environment.push_back(*at);
  environment.push_back(mark.data());
  environment.push_back(nullptr);
  pid_t child = 0;
  const int failed =
      ::posix_spawn(&child, program.c_str(), &actions, &attributes, argv, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  ::close(theirs);
  uint32_t hello = 0;
  if (failed == 0) process_ = child;
  if (failed != 0 || !receive(&hello, sizeof hello) || hello != kHello) {
    stop();
    throw WorkError(own_path() + ": cannot start a decode worker" +
                    (failed != 0 ? std::string(": ") + std::strerror(failed) : ""));
  }
}

void Worker::stop() {
  if (socket_ >= 0) ::close(socket_);
  if (memory_ >= 0) ::close(memory_);
  socket_ = memory_ = -1;
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  process_ = 0;
  served_ = 0;
}

bool Worker::send(const void* bytes, size_t size) { return write_all(socket_, bytes, size); }
bool Worker::receive(void* bytes, size_t size) { return read_all(socket_, bytes, size); }

std::string Worker::why_it_failed() {
  // EAGAIN: our own patience ran out. Else it died: a fault, its memory or its time.
  std::string slow = "its decoder took longer than " + std::to_string(limits_.seconds) + " s";
  if (errno == EAGAIN || errno == EWOULDBLOCK) return slow;
  int status = 0;
  ::kill(process_, SIGKILL);  // no effect on one that is already dead
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  process_ = 0;
  if (!WIFSIGNALED(status)) return "its decoder gave up";
  const int number = WTERMSIG(status);
  if (number == SIGALRM || number == SIGXCPU) return slow;
  return std::string("its decoder died (") + ::strsignal(number) + ")";
}

/// False when the worker did not answer.
bool Worker::ask(const Request& request, const std::vector<uint8_t>& bytes, Answer& answer,
                 std::string& text) {
  errno = 0;
  if (!send(&request, sizeof request) || !send(bytes.data(), bytes.size()) ||
      !receive(&answer, sizeof answer)) {
    return false;
  }
  text.assign(std::min(answer.text_bytes, kLongestText), '\0');
  return receive(text.data(), text.size());
}

SharedBytes Worker::run(const std::string& kind, const std::string& name,
                        const std::vector<uint8_t>& bytes) {
  Request request{{}, bytes.size(), limits_.memory_bytes, static_cast<uint64_t>(limits_.seconds)};
  std::memcpy(request.kind, kind.data(), std::min(kind.size(), sizeof request.kind - 1));
  Answer answer{};
  std::string text;
  for (;;) {
    if (process_ == 0) start();
    if (ask(request, bytes, answer, text)) break;
    const bool stuck = errno == EAGAIN || errno == EWOULDBLOCK;
    const bool again = served_ > 0 && !stuck;
    const std::string why = why_it_failed();
    stop();
    if (!again) throw Error(concat_text(name, ": damaged: ", why));
  }
  ++served_;
  if (!text.empty()) throw Error(name + ": " + text);
  struct stat info {};
  if (::fstat(memory_, &info) != 0 || static_cast<uint64_t>(info.st_size) < answer.size) {
    throw Error(name + ": damaged");
  }
  if (answer.size == 0) return {};
  void* memory = ::mmap(nullptr, answer.size, PROT_READ, MAP_SHARED, memory_, 0);
  if (memory == MAP_FAILED) throw WorkError(name + ": " + std::strerror(errno));
  const size_t size = answer.size;
  return {std::shared_ptr<const uint8_t>(
              static_cast<const uint8_t*>(memory),
              [size](const uint8_t* at) { ::munmap(const_cast<uint8_t*>(at), size); }),
          size};
}

void Reply::append(const void* bytes, size_t size) {
  const char* at = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t put = ::pwrite(descriptor_, at, size, static_cast<off_t>(size_));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw Error(std::string("no shared memory: ") + std::strerror(errno));
    at += put;
    size -= static_cast<size_t>(put);
    size_ += static_cast<uint64_t>(put);
  }
}

void Reply::align(size_t alignment) {
  static constexpr char kZeros[64] = {};
  const size_t over = size_ % alignment;
  if (over != 0) append(kZeros, alignment - over);
}

void serve_requests(const std::map<std::string, Decoder>& decoders) {
  if (std::getenv(kMark) == nullptr) {
    throw Error("decode-worker: is started by the program itself, not by hand");
  }
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  set_soft_limit(RLIMIT_FSIZE, RLIM_INFINITY);  // shared memory counts as a file
  const uint64_t at_start = address_space_used();
  if (!write_all(kSocket, &kHello, sizeof kHello)) return;
  Worker::Request request{};
  while (read_all(kSocket, &request, sizeof request)) {
    apply_limits(at_start + request.memory_bytes + 4 * request.size, request.seconds);
    Reply reply(kMemory);
    std::string text;
    try {
      std::vector<uint8_t> bytes(request.size);
      if (!read_all(kSocket, bytes.data(), bytes.size())) return;
      request.kind[sizeof request.kind - 1] = '\0';
      decoders.at(request.kind)(bytes, reply);
    } catch (const std::bad_alloc&) {
      text = "needs more memory than its decoder may take";
    } catch (const std::exception& error) {
      text = error.what();
      if (text.empty()) text = "damaged";
    }
    ::alarm(0);
    text.resize(std::min<size_t>(text.size(), kLongestText));
    const Worker::Answer answer{reply.size(), text.size()};
    if (!write_all(kSocket, &answer, sizeof answer) ||
        !write_all(kSocket, text.data(), text.size())) {
      return;
    }
  }
}

}  // namespace gliograd::files
