// What ran on a GPU's stream while somebody looked: kernels/launch_record.hpp for whole scopes.
#pragma once
#include <vector>

#include "engine/device/stream.hpp"
#include "kernels/launch_record.hpp"

namespace gliograd {

/// While one lives, the stream's launches are recorded. One at a time on a stream.
class LaunchLog {
 public:
  /// Errors: Error where the stream is not a GPU's.
  explicit LaunchLog(Stream& stream);
  ~LaunchLog();
  LaunchLog(const LaunchLog&) = delete;
  LaunchLog& operator=(const LaunchLog&) = delete;

  /// All since it was made or last taken; waits for them.
  std::vector<kernels::RecordedLaunch> take();

 private:
  Stream* stream_;
};

}  // namespace gliograd
