#include "kernels/launch_record.hpp"

#include <nvtx3/nvToolsExt.h>

#include <cstdio>
#include <map>
#include <tuple>
#include <utility>

#include "kernels/gpu/check.hpp"
#include "kernels/gpu/queue.hpp"

namespace gliograd::kernels {
namespace {

bool is_captured(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  GG_CUDA(cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

class TimedEvent {
 public:
  TimedEvent() { GG_CUDA(cudaEventCreateWithFlags(&event_, cudaEventDefault)); }
  ~TimedEvent() {
    if (event_ != nullptr) cudaEventDestroy(event_);
  }
  TimedEvent(TimedEvent&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  TimedEvent& operator=(TimedEvent&&) = delete;

  void put_on(cudaStream_t stream) { GG_CUDA(cudaEventRecord(event_, stream)); }
  void wait() const { GG_CUDA(cudaEventSynchronize(event_)); }
  double ms_since(const TimedEvent& other) const {
    float time = 0;
    GG_CUDA(cudaEventElapsedTime(&time, other.event_, event_));
    return time;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

KernelFacts kernel_facts(const void* kernel, int threads, int64_t shared_bytes) {
  cudaFuncAttributes of{};
  GG_CUDA(cudaFuncGetAttributes(&of, kernel));
  int device = 0, most = 0, blocks = 0;
  GG_CUDA(cudaGetDevice(&device));
  GG_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxThreadsPerMultiProcessor, device));
  GG_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads,
                                                        static_cast<size_t>(shared_bytes)));
  return {of.numRegs, static_cast<int64_t>(of.sharedSizeBytes),
          static_cast<int64_t>(of.localSizeBytes),
          static_cast<double>(blocks) * threads / static_cast<double>(most)};
}

std::string text_of(const uint32_t (&d)[3]) {
  std::string text = std::to_string(d[0]);
  for (int axis = 1; axis < 3; ++axis) {
    if (d[axis] > 1 || d[2] > 1) text += "x" + std::to_string(d[axis]);
  }
  return text;
}

void print(const RecordedLaunch& launch) {
  std::string shape;
  if (launch.grid[0] > 0) {
    shape = text_of(launch.grid) + " blocks of " + text_of(launch.block);
    if (launch.shared_bytes > 0) shape += ", " + std::to_string(launch.shared_bytes) + " B shared";
  }
  std::fprintf(stderr, "%-32s %-34s %9.4f ms %8.1f GB/s %9.1f GFLOP/s  %s\n", launch.name.c_str(),
               shape.c_str(), launch.ms, launch.cost.bytes / launch.ms * 1e-6,
               launch.cost.ops / launch.ms * 1e-6, launch.range.c_str());
}

}  // namespace

/// The lines of a record, each with the events around it.
class LaunchRecord {
 public:
  explicit LaunchRecord(cudaStream_t stream) : stream_(stream) { origin_.put_on(stream); }

  void open(const Launch& launch, const void* kernel, const std::vector<const char*>& ranges) {
    Line line;
    line.kernel = kernel;
    RecordedLaunch& r = line.launch;
    r.name = launch.name;
    for (const char* range : ranges) r.range += (r.range.empty() ? "" : "/") + std::string(range);
    if (launch.grid.x > 0) {
      r.grid[0] = launch.grid.x, r.grid[1] = launch.grid.y, r.grid[2] = launch.grid.z;
      r.block[0] = launch.block.x, r.block[1] = launch.block.y, r.block[2] = launch.block.z;
    }
    r.shared_bytes = static_cast<int64_t>(launch.shared_bytes);
    r.cost = launch.cost;
    line.timed = !is_captured(stream_);
    if (line.timed) {
      if (used_ + 2 > events_.size()) events_.resize(used_ + 2);
      line.begin = used_;
      events_[used_].put_on(stream_);
      used_ += 2;
    }
    lines_.push_back(std::move(line));
  }
  void close() {
    Line& line = lines_.back();
    if (line.timed) events_[line.begin + 1].put_on(stream_);
    // Not before: the launch may have asked for more shared memory than a kernel has by itself.
    if (line.kernel != nullptr) line.launch.kernel = facts_of(line);
  }
  /// The line that was opened last goes.
  void drop() {
    if (lines_.back().timed) used_ = lines_.back().begin;
    lines_.pop_back();
  }

  /// The line that was closed last, once its work is done; null where it was captured.
  const RecordedLaunch* finished() {
    Line& line = lines_.back();
    if (!line.timed) return nullptr;
    events_[line.begin + 1].wait();
    set_times(line);
    return &line.launch;
  }
  std::vector<RecordedLaunch> take() {
    GG_CUDA(cudaStreamSynchronize(stream_));
    std::vector<RecordedLaunch> all;
    for (Line& line : lines_) {
      if (line.timed) set_times(line);
      all.push_back(std::move(line.launch));
    }
    lines_.clear();
    used_ = 0;
    return all;
  }

 private:
  struct Line {
    RecordedLaunch launch;
    const void* kernel = nullptr;
    bool timed = false;
    size_t begin = 0;  // index of the event before it; the one behind it is the next
  };
  const KernelFacts& facts_of(const Line& line) {
    const RecordedLaunch& r = line.launch;
    const auto threads = static_cast<int>(r.block[0] * r.block[1] * r.block[2]);
    const auto [at, fresh] =
        facts_.try_emplace(std::make_tuple(line.kernel, threads, r.shared_bytes));
    if (fresh) at->second = kernel_facts(line.kernel, threads, r.shared_bytes);
    return at->second;
  }
  void set_times(Line& line) const {
    line.launch.begin_ms = events_[line.begin].ms_since(origin_);
    line.launch.ms = events_[line.begin + 1].ms_since(events_[line.begin]);
  }

  cudaStream_t stream_;
  TimedEvent origin_;
  std::vector<Line> lines_;
  std::vector<TimedEvent> events_;
  size_t used_ = 0;  // of the events
  std::map<std::tuple<const void*, int, int64_t>, KernelFacts> facts_;
};

QueueState::QueueState(cudaStream_t made, unsigned* zeros, bool traced)
    : stream(made), tickets(zeros), trace(traced) {
  if (traced) record = std::make_unique<LaunchRecord>(made);
}
QueueState::~QueueState() = default;

LaunchScope::LaunchScope(Queue queue, const Launch& launch, const void* kernel)
    : state_(state_of(queue)) {
  nvtxRangePushA(launch.name);
  if (state_ != nullptr && state_->record == nullptr) state_ = nullptr;
  if (state_ != nullptr) state_->record->open(launch, kernel, state_->ranges);
}

void LaunchScope::done() {
  done_ = true;
  if (state_ == nullptr) return;
  LaunchRecord& record = *state_->record;
  record.close();
  if (!state_->trace) return;
  if (const RecordedLaunch* launch = record.finished()) print(*launch);
  if (!state_->keep) record.drop();
}

LaunchScope::~LaunchScope() {
  if (!done_ && state_ != nullptr) state_->record->drop();
  nvtxRangePop();
}

namespace {

void keep_record(Queue queue, bool on) {
  QueueState& state = *state_of(queue);
  if (is_captured(state.stream)) {
    throw DeviceError("a record of launches cannot begin or end while they are captured");
  }
  state.keep = on;
  state.record = on || state.trace ? std::make_unique<LaunchRecord>(state.stream) : nullptr;
}

std::vector<RecordedLaunch> take(Queue queue) {
  QueueState& state = *state_of(queue);
  return state.keep ? state.record->take() : std::vector<RecordedLaunch>{};
}

void open_range(Queue queue, const char* name) {
  state_of(queue)->ranges.push_back(name);
  nvtxRangePushA(name);
}
void close_range(Queue queue) {
  nvtxRangePop();
  state_of(queue)->ranges.pop_back();
}

const Provide<record_launches> provide_record_launches{keep_record};
const Provide<take_launches> provide_take_launches{take};
const Provide<begin_range> provide_begin_range{open_range};
const Provide<end_range> provide_end_range{close_range};

}  // namespace
}  // namespace gliograd::kernels
