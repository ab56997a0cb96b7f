#include "kernels/runtime.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "kernels/gpu/check.hpp"
#include "kernels/gpu/queue.hpp"

namespace gliograd::kernels {

unsigned* tickets_of(Queue queue, int64_t wanted) {
  if (queue.handle == nullptr) throw DeviceError("this kernel runs on a queue of its own alone");
  if (wanted > kTickets) {
    throw DeviceError("a launch of " + std::to_string(wanted) + " columns of blocks; at most " +
                      std::to_string(kTickets));
  }
  return state_of(queue)->tickets;
}

namespace {

cudaEvent_t event_of(Event event) { return static_cast<cudaEvent_t>(event.handle); }

// A graph that can be launched, and how many nodes it has.
struct CapturedGraph {
  cudaGraphExec_t executable = nullptr;
  int64_t nodes = 0;
  std::string name;
};

// GLIOGRAD_TRACE=1 prints each launch as it runs.
bool is_traced() {
  const char* asked = std::getenv("GLIOGRAD_TRACE");
  return asked != nullptr && *asked != '\0' && std::string(asked) != "0";
}

int count_devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // no driver is no error here
  return 0;
}

DeviceFacts facts_of(int device) {
  cudaDeviceProp properties{};
  GG_CUDA(cudaGetDeviceProperties(&properties, device));
  DeviceFacts facts;
  facts.name = properties.name;
  facts.major = properties.major;
  facts.minor = properties.minor;
  facts.multiprocessors = properties.multiProcessorCount;
  facts.memory_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  GG_CUDA(cudaDriverGetVersion(&facts.driver));
  GG_CUDA(cudaRuntimeGetVersion(&facts.runtime));
  return facts;
}

Queue new_queue(int device) {
  GG_CUDA(cudaSetDevice(device));
  void* tickets = nullptr;
  cudaStream_t stream = nullptr;
  cudaError_t status = cudaMalloc(&tickets, kTickets * sizeof(unsigned));
  if (status == cudaSuccess) {
    status = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  }
  if (status == cudaSuccess) {
    status = cudaMemsetAsync(tickets, 0, kTickets * sizeof(unsigned), stream);
  }
  if (status == cudaSuccess) status = cudaStreamSynchronize(stream);
  if (status != cudaSuccess) {
    if (stream != nullptr) cudaStreamDestroy(stream);
    cudaFree(tickets);
    GG_CUDA(status);
  }
  if (is_traced()) {
    std::fprintf(stderr,
                 "GLIOGRAD_TRACE: each launch is waited for; times of the whole are of no "
                 "use now\n");
  }
  return {new QueueState(stream, static_cast<unsigned*>(tickets), is_traced())};
}
void delete_queue(Queue queue) {
  cudaStream_t stream = stream_of(queue);
  unsigned* const tickets = state_of(queue)->tickets;
  delete state_of(queue);  // first: its events lie on the stream
  const cudaError_t freed = cudaFree(tickets);
  GG_CUDA(cudaStreamDestroy(stream));
  GG_CUDA(freed);
}
void wait(Queue queue) { GG_CUDA(cudaStreamSynchronize(stream_of(queue))); }

void* take(int device, int64_t bytes) {
  void* memory = nullptr;
  GG_CUDA(cudaSetDevice(device));
  const cudaError_t status = cudaMalloc(&memory, static_cast<size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  GG_CUDA(status);
  return memory;
}
void give(int device, void* memory) {
  GG_CUDA(cudaSetDevice(device));
  GG_CUDA(cudaFree(memory));
}
void* take_host(int64_t bytes) {
  void* memory = nullptr;
  GG_CUDA(cudaMallocHost(&memory, static_cast<size_t>(bytes)));
  return memory;
}
void give_host(void* memory) { GG_CUDA(cudaFreeHost(memory)); }

void copy(Queue queue, void* to, const void* from, int64_t bytes, CopyKind kind) {
  const cudaMemcpyKind direction = kind == CopyKind::to_device ? cudaMemcpyHostToDevice
                                   : kind == CopyKind::to_host ? cudaMemcpyDeviceToHost
                                                               : cudaMemcpyDeviceToDevice;
  const char* name = kind == CopyKind::to_device ? "copy to device"
                     : kind == CopyKind::to_host ? "copy to host"
                                                 : "copy on device";
  const auto n = static_cast<double>(bytes);
  LaunchScope scope(
      queue, {name, kNoGrid, kNoGrid, 0, {.bytes = kind == CopyKind::on_device ? 2 * n : n}});
  GG_CUDA(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), direction, stream_of(queue)));
  scope.done();
}
void zero(Queue queue, void* memory, int64_t bytes) {
  LaunchScope scope(queue, {"fill", kNoGrid, kNoGrid, 0, {.bytes = static_cast<double>(bytes)}});
  GG_CUDA(cudaMemsetAsync(memory, 0, static_cast<size_t>(bytes), stream_of(queue)));
  scope.done();
}

Event new_event(bool timed) {
  cudaEvent_t event = nullptr;
  GG_CUDA(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming));
  return {event};
}
void delete_event(Event event) { GG_CUDA(cudaEventDestroy(event_of(event))); }
void record(Queue queue, Event event) {
  GG_CUDA(cudaEventRecord(event_of(event), stream_of(queue)));
}
void wait_for(Queue queue, Event event) {
  GG_CUDA(cudaStreamWaitEvent(stream_of(queue), event_of(event), 0));
}
void finish(Event event) { GG_CUDA(cudaEventSynchronize(event_of(event))); }
float milliseconds(Event begin, Event end) {
  float time = 0;
  GG_CUDA(cudaEventElapsedTime(&time, event_of(begin), event_of(end)));
  return time;
}

void start_capture(Queue queue) {
  // Thread-local: in another fold's thread memory may be taken meanwhile.
  GG_CUDA(cudaStreamBeginCapture(stream_of(queue), cudaStreamCaptureModeThreadLocal));
}
Graph stop_capture(Queue queue) {
  cudaGraph_t graph = nullptr;
  GG_CUDA(cudaStreamEndCapture(stream_of(queue), &graph));
  auto captured = std::make_unique<CapturedGraph>();
  size_t nodes = 0;
  cudaError_t status = cudaGraphGetNodes(graph, nullptr, &nodes);
  if (status == cudaSuccess) status = cudaGraphInstantiate(&captured->executable, graph, 0);
  cudaGraphDestroy(graph);
  GG_CUDA(status);
  captured->nodes = static_cast<int64_t>(nodes);
  captured->name = "graph of " + std::to_string(nodes);
  return {captured.release()};
}
void forget_capture(Queue queue) {
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(stream_of(queue), &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaGetLastError();
}
bool captures(Queue queue) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  GG_CUDA(cudaStreamIsCapturing(stream_of(queue), &status));
  return status != cudaStreamCaptureStatusNone;
}
void run_graph(Graph graph, Queue queue) {
  const auto* captured = static_cast<const CapturedGraph*>(graph.handle);
  LaunchScope scope(queue, {captured->name.c_str(), kNoGrid, kNoGrid});
  GG_CUDA(cudaGraphLaunch(captured->executable, stream_of(queue)));
  scope.done();
}
int64_t count_nodes(Graph graph) { return static_cast<const CapturedGraph*>(graph.handle)->nodes; }
void delete_graph(Graph graph) {
  const std::unique_ptr<CapturedGraph> captured(static_cast<CapturedGraph*>(graph.handle));
  GG_CUDA(cudaGraphExecDestroy(captured->executable));
}

const Provide<device_count> provide_device_count{count_devices};
const Provide<device_facts> provide_device_facts{facts_of};
const Provide<make_queue> provide_make_queue{new_queue};
const Provide<free_queue> provide_free_queue{delete_queue};
const Provide<wait_queue> provide_wait_queue{wait};
const Provide<take_memory> provide_take_memory{take};
const Provide<give_memory> provide_give_memory{give};
const Provide<take_pinned> provide_take_pinned{take_host};
const Provide<give_pinned> provide_give_pinned{give_host};
const Provide<copy_memory> provide_copy_memory{copy};
const Provide<zero_memory> provide_zero_memory{zero};
const Provide<make_event> provide_make_event{new_event};
const Provide<free_event> provide_free_event{delete_event};
const Provide<record_event> provide_record_event{record};
const Provide<wait_event> provide_wait_event{wait_for};
const Provide<finish_event> provide_finish_event{finish};
const Provide<milliseconds_between> provide_milliseconds_between{milliseconds};
const Provide<begin_capture> provide_begin_capture{start_capture};
const Provide<end_capture> provide_end_capture{stop_capture};
const Provide<drop_capture> provide_drop_capture{forget_capture};
const Provide<is_capturing> provide_is_capturing{captures};
const Provide<launch_graph> provide_launch_graph{run_graph};
const Provide<graph_nodes> provide_graph_nodes{count_nodes};
const Provide<free_graph> provide_free_graph{delete_graph};

}  // namespace
}  // namespace gliograd::kernels
