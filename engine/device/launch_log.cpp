#include "engine/device/launch_log.hpp"

#include "engine/core/error.hpp"

namespace gliograd {

LaunchLog::LaunchLog(Stream& stream) : stream_(&stream) {
  GG_CHECK(stream.device() == Device::cuda, "launch log: the stream must be a GPU's");
  kernels::record_launches(stream.queue(), true);
}

LaunchLog::~LaunchLog() {
  try {
    kernels::record_launches(stream_->queue(), false);
  } catch (const kernels::DeviceError&) {
    // The device has failed; whoever waited for its work was told.
  }
}

std::vector<kernels::RecordedLaunch> LaunchLog::take() {
  return kernels::take_launches(stream_->queue());
}

}  // namespace gliograd
