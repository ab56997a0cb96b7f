// The CUDA runtime's functions that kernels/gpu/runtime.cpp calls, on the emulated GPU: memory,
// streams, events and graphs.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/base.hpp"
#include "tests/simt/machine.hpp"
#include "tests/simt/runtime.hpp"
#include "tests/simt/simt.hpp"

namespace gliograd::simt {
namespace {

using Work = std::function<void()>;

struct Node {
  Work work;
  std::vector<size_t> after;  // nodes that must have run
};

/// A recording in progress, shared by the streams that have joined it.
struct Capture {
  std::thread::id thread;
  void* origin = nullptr;
  std::vector<Node> nodes;
  bool invalid = false;
};

using Ahead = std::chrono::duration<double, std::milli>;  // of events' clocks before the host's

struct EventState {
  int64_t recorded = 0;  // records queued
  int64_t passed = 0;    // records run
  std::chrono::steady_clock::time_point time;
  Ahead ahead{0};
  // Where the last record was under capture.
  std::shared_ptr<Capture> capture;
  std::vector<size_t> frontier;
};

struct Item {
  int64_t number;  // order of queueing, over all streams
  Work work;
  EventState* wait = nullptr;  // cannot run before the event has passed `version` records
  int64_t version = 0;
};

struct StreamState {
  std::deque<Item> items;
  Ahead ahead{0};
  std::shared_ptr<Capture> capture;
  std::vector<size_t> frontier;  // the nodes that the next one comes after
};

struct GraphState {
  std::vector<Node> nodes;
};

// Held while a piece of work runs, and by whoever asks whether work is done or changes what memory
// there is: host threads may be several. Taken before `lock`.
std::mutex turn;
// One lock for all else; work itself runs without it.
std::recursive_mutex lock;
DeviceOptions options;
std::mt19937_64 choices{1};
std::set<StreamState*> streams;
int64_t queued = 0;
int64_t memory_bytes = 0;
thread_local cudaError_t last_error = cudaSuccess;
StreamState* busy = nullptr;  // whose work runs; changed with `turn` held

cudaError_t refuse(cudaError_t error) { return last_error = error; }

StreamState* state_of(cudaStream_t stream) { return reinterpret_cast<StreamState*>(stream); }
EventState* state_of(cudaEvent_t event) { return reinterpret_cast<EventState*>(event); }

bool can_run(const StreamState& stream) {
  if (stream.items.empty()) return false;
  const Item& item = stream.items.front();
  return item.wait == nullptr || item.wait->passed >= item.version;
}

/// Runs one item of some stream. False where none can run. With `turn` held.
bool run_one() {
  Work work;
  {
    const std::lock_guard guard(lock);
    std::vector<StreamState*> ready;
    for (StreamState* stream : streams) {
      if (can_run(*stream)) ready.push_back(stream);
    }
    if (ready.empty()) return false;
    // Addresses differ from run to run; numbers do not.
    std::sort(ready.begin(), ready.end(), [](const StreamState* a, const StreamState* b) {
      return a->items.front().number < b->items.front().number;
    });
    StreamState* chosen = ready[options.order == Order::any ? choices() % ready.size() : 0];
    const EventState* waited = chosen->items.front().wait;
    if (waited != nullptr) chosen->ahead = std::max(chosen->ahead, waited->ahead);
    work = std::move(chosen->items.front().work);
    chosen->items.pop_front();
    busy = chosen;
  }
  const auto idle = [](StreamState** stream) { *stream = nullptr; };
  const std::unique_ptr<StreamState*, decltype(idle)> until_done(&busy, idle);
  if (work) on_device_thread(work);
  return true;
}

/// Until `done`. Every other stream's work may or may not run meanwhile.
template <class Done>
void run_until(const Done& done) {
  const OpenMemory open;
  for (;;) {
    const std::lock_guard mine(turn);
    {
      const std::lock_guard guard(lock);
      if (done()) return;
    }
    if (!run_one()) throw Error("the emulated GPU waits forever: events wait for each other");
  }
}

void add_item(StreamState& stream, Work work, EventState* wait = nullptr, int64_t version = 0) {
  stream.items.push_back({++queued, std::move(work), wait, version});
}

void add_node(StreamState& stream, Work work) {
  stream.capture->nodes.push_back({std::move(work), stream.frontier});
  stream.frontier = {stream.capture->nodes.size() - 1};
}

void run_nodes(const std::vector<Node>& nodes, bool any_order) {
  std::vector<bool> done(nodes.size(), false);
  for (size_t count = 0; count < nodes.size(); ++count) {
    std::vector<size_t> ready;
    for (size_t n = 0; n < nodes.size(); ++n) {
      const auto ran = [&](size_t before) { return static_cast<bool>(done[before]); };
      if (!done[n] && std::all_of(nodes[n].after.begin(), nodes[n].after.end(), ran)) {
        ready.push_back(n);
      }
    }
    const size_t n = ready[any_order ? choices() % ready.size() : 0];
    nodes[n].work();
    done[n] = true;
  }
}

/// What no capture of this thread may do: it ends in an invalid graph.
bool breaks_capture() {
  bool broken = false;
  for (StreamState* stream : streams) {
    if (stream->capture && stream->capture->thread == std::this_thread::get_id()) {
      stream->capture->invalid = broken = true;
    }
  }
  return broken;
}

bool is_ancestor(const std::vector<Node>& nodes, size_t node, const std::vector<size_t>& of) {
  std::vector<size_t> open = of;
  std::vector<bool> seen(nodes.size(), false);
  while (!open.empty()) {
    const size_t n = open.back();
    open.pop_back();
    if (n == node) return true;
    if (seen[n]) continue;
    seen[n] = true;
    open.insert(open.end(), nodes[n].after.begin(), nodes[n].after.end());
  }
  return false;
}

}  // namespace

void set_device(const DeviceOptions& wanted) {
  run_until([] {
    return std::all_of(streams.begin(), streams.end(),
                       [](const StreamState* stream) { return stream->items.empty(); });
  });
  const std::lock_guard guard(lock);
  options = wanted;
  choices.seed(wanted.seed);
}

void advance_clock(double ms) {
  if (busy != nullptr) busy->ahead += Ahead(ms);
}

int64_t device_memory_bytes() {
  const std::lock_guard guard(lock);
  return memory_bytes;
}

int64_t waiting_work() {
  const std::lock_guard guard(lock);
  int64_t count = 0;
  for (const StreamState* stream : streams) count += static_cast<int64_t>(stream->items.size());
  return count;
}

void queue_work(void* handle, Work work) {
  if (handle == nullptr) {
    const std::lock_guard mine(turn);
    return on_device_thread(work);
  }
  const std::lock_guard guard(lock);
  StreamState& stream = *static_cast<StreamState*>(handle);
  if (stream.capture) return add_node(stream, std::move(work));
  add_item(stream, std::move(work));
}

}  // namespace gliograd::simt

using namespace gliograd::simt;
using Guard = std::lock_guard<std::recursive_mutex>;

extern "C" {

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::memset(properties, 0, sizeof *properties);
  std::strncpy(properties->name, "emulated", sizeof properties->name - 1);
  properties->major = 9;
  properties->multiProcessorCount = 4;
  properties->totalGlobalMem = static_cast<size_t>(options.memory_bytes);
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : refuse(cudaErrorInvalidDevice);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  if (attribute != cudaDevAttrMaxThreadsPerMultiProcessor) return refuse(cudaErrorInvalidValue);
  *value = 2048;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  const std::lock_guard mine(turn);
  const Guard guard(lock);
  if (breaks_capture()) return refuse(cudaErrorStreamCaptureUnsupported);
  if (memory_bytes + static_cast<int64_t>(bytes) > options.memory_bytes) {
    return refuse(cudaErrorMemoryAllocation);
  }
  memory_bytes += static_cast<int64_t>(bytes);
  *memory = allocate(bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  {
    const Guard guard(lock);
    if (breaks_capture()) return refuse(cudaErrorStreamCaptureUnsupported);
  }
  cudaDeviceSynchronize();  // as the real one does
  const std::lock_guard mine(turn);
  const Guard guard(lock);
  memory_bytes -= static_cast<int64_t>(release(memory));
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  const Guard guard(lock);
  if (breaks_capture()) return refuse(cudaErrorStreamCaptureUnsupported);
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return *memory != nullptr ? cudaSuccess : refuse(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void* memory) {
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  queue_work(stream, [=] {
    switch (kind) {
      case cudaMemcpyHostToDevice: copy_in(to, from, bytes); break;
      case cudaMemcpyDeviceToHost: copy_out(to, from, bytes); break;
      default: {
        std::vector<char> between(bytes);
        copy_out(between.data(), from, bytes);
        copy_in(to, between.data(), bytes);
      }
    }
  });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  queue_work(stream, [=] {
    const std::vector<char> values(bytes, static_cast<char>(value));
    copy_in(memory, values.data(), bytes);
  });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Guard guard(lock);
  auto* state = new StreamState;
  streams.insert(state);
  *stream = reinterpret_cast<cudaStream_t>(state);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  {
    const Guard guard(lock);
    if (state_of(stream)->capture) {
      state_of(stream)->capture->invalid = true;
      return refuse(cudaErrorStreamCaptureUnsupported);
    }
  }
  run_until([&] { return state_of(stream)->items.empty(); });
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  run_until([] {
    return std::all_of(streams.begin(), streams.end(),
                       [](const StreamState* one) { return one->items.empty(); });
  });
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  run_until([&] { return state_of(stream)->items.empty(); });
  const Guard guard(lock);
  streams.erase(state_of(stream));
  delete state_of(stream);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(new EventState);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  EventState* state = state_of(event);
  run_until([&] { return state->passed == state->recorded; });
  delete state;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Guard guard(lock);
  EventState* state = state_of(event);
  StreamState& on = *state_of(stream);
  state->capture = on.capture;
  state->frontier = on.frontier;
  if (on.capture) return cudaSuccess;
  const int64_t version = ++state->recorded;
  add_item(on, [state, version, &on] {
    state->passed = version;
    state->time = std::chrono::steady_clock::now();
    state->ahead = on.ahead;
  });
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Guard guard(lock);
  EventState* state = state_of(event);
  StreamState& on = *state_of(stream);
  if (!state->capture && !on.capture) {
    add_item(on, {}, state, state->recorded);
    return cudaSuccess;
  }
  if (!state->capture || (on.capture && on.capture != state->capture)) {
    return refuse(cudaErrorStreamCaptureIsolation);
  }
  on.capture = state->capture;
  for (const size_t node : state->frontier) {
    if (std::find(on.frontier.begin(), on.frontier.end(), node) == on.frontier.end()) {
      on.frontier.push_back(node);
    }
  }
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const EventState* state = state_of(event);
  run_until([&] { return state->passed == state->recorded; });
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  const EventState *first = state_of(begin), *last = state_of(end);
  if (first->passed != first->recorded || last->passed != last->recorded) {
    return refuse(cudaErrorNotReady);
  }
  *milliseconds = std::chrono::duration<float, std::milli>(last->time - first->time +
                                                           (last->ahead - first->ahead))
                      .count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const Guard guard(lock);
  StreamState& on = *state_of(stream);
  if (on.capture) return refuse(cudaErrorStreamCaptureUnsupported);
  on.capture = std::make_shared<Capture>();
  on.capture->thread = std::this_thread::get_id();
  on.capture->origin = stream;
  on.frontier.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const Guard guard(lock);
  const auto& capture = state_of(stream)->capture;
  *status = !capture           ? cudaStreamCaptureStatusNone
            : capture->invalid ? cudaStreamCaptureStatusInvalidated
                               : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Guard guard(lock);
  *graph = nullptr;
  StreamState& origin = *state_of(stream);
  if (!origin.capture || origin.capture->origin != stream) return refuse(cudaErrorInvalidValue);
  const std::shared_ptr<Capture> capture = origin.capture;
  bool joined = true;
  for (StreamState* one : streams) {
    if (one->capture != capture) continue;
    for (const size_t node : one->frontier) {
      joined = joined && is_ancestor(capture->nodes, node, origin.frontier);
    }
    one->capture = nullptr;
    if (one != &origin) one->frontier.clear();
  }
  origin.frontier.clear();
  if (capture->invalid) return refuse(cudaErrorStreamCaptureInvalidated);
  if (!joined) return refuse(cudaErrorStreamCaptureUnjoined);
  *graph = reinterpret_cast<cudaGraph_t>(new GraphState{capture->nodes});
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
  *count = reinterpret_cast<GraphState*>(graph)->nodes.size();
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable =
      reinterpret_cast<cudaGraphExec_t>(new GraphState(*reinterpret_cast<GraphState*>(graph)));
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<GraphState*>(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const auto* graph = reinterpret_cast<const GraphState*>(executable);
  const bool any_order = options.order == Order::any;
  queue_work(stream, [=] { run_nodes(graph->nodes, any_order); });
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  cudaDeviceSynchronize();
  delete reinterpret_cast<GraphState*>(executable);
  return cudaSuccess;
}

}  // extern "C"
