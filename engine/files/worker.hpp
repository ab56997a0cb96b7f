// A process that takes files apart for us. Libraries that decode images and HDF5 have had, and will
// have, faults that a damaged file sets off; here such a fault ends a worker, not the program. The
// bytes of a file go to the worker through a socket, the answer comes back in shared memory.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base.hpp"

namespace gliograd::files {

struct WorkerLimits {
  uint64_t memory_bytes = uint64_t{2} << 30;  // address space beyond what the worker starts with
  int seconds = 60;                           // for one file
  std::string program;                        // empty: this program, or the gliograd beside it
};

/// Memory that a worker filled. It may grow under us, never shrink.
struct SharedBytes {
  std::shared_ptr<const uint8_t> data;
  size_t size = 0;
};

/// One worker process; started at the first request, and again after it died. Not for two threads.
class Worker {
 public:
  struct Request;
  struct Answer;

  explicit Worker(const WorkerLimits& limits = {}) : limits_(limits) {}
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// The worker's answer to a request of this kind; the next request overwrites it. A worker that
  /// has served other files and dies is replaced and asked once more: it may have been their fault.
  /// Errors: Error "NAME: ..." in the decoder's words, or "NAME: damaged: ..." when the worker died
  /// or took too long; WorkError when no worker can be started.
  SharedBytes run(const std::string& kind, const std::string& name,
                  const std::vector<uint8_t>& bytes);
  /// Process id, 0 when none runs.
  pid_t process() const { return process_; }

 private:
  void start();
  void stop();
  bool send(const void* bytes, size_t size);
  bool receive(void* bytes, size_t size);
  bool ask(const Request& request, const std::vector<uint8_t>& bytes, Answer& answer,
           std::string& text);
  std::string why_it_failed();

  WorkerLimits limits_;
  pid_t process_ = 0;
  int64_t served_ = 0;  // files, by the process that runs now
  int socket_ = -1;
  int memory_ = -1;
};

/// Where a decoder in the worker puts its answer.
class Reply {
 public:
  explicit Reply(int descriptor) : descriptor_(descriptor) {}
  void append(const void* bytes, size_t size);
  /// Zeros up to a multiple of `alignment`.
  void align(size_t alignment);
  uint64_t size() const { return size_; }

 private:
  int descriptor_;
  uint64_t size_ = 0;
};

/// A decoder's Error is the answer "what is wrong with the file", without its name.
using Decoder = std::function<void(const std::vector<uint8_t>& bytes, Reply& reply)>;

/// The worker's side: serves requests by kind until the program that started it closes the socket.
/// Errors: Error when it was not started as a worker.
void serve_requests(const std::map<std::string, Decoder>& decoders);

}  // namespace gliograd::files
