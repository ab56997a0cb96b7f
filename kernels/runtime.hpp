// The CUDA runtime as the engine uses it: devices, memory, streams, events, captured graphs. Thin:
// each function is a call or two, and what a call refuses comes back as a DeviceError with the
// runtime's own words. All sizes are bytes. Device memory is aligned to 256.
#pragma once
#include <vector>

#include "kernels/entry.hpp"

namespace gliograd::kernels {

struct DeviceFacts {
  std::string name;
  int32_t major = 0, minor = 0;  // compute capability
  int32_t multiprocessors = 0;
  int64_t memory_bytes = 0;
  int32_t driver = 0, runtime = 0;  // as CUDA writes them: 13000 is 13.0
};

/// What the GPU library was built for. Compute capabilities as 10 * major + minor.
struct LibraryFacts {
  std::vector<int> machine_code;  // those that it has machine code for
  int ptx = 0;                    // it also has PTX, for this one and all later ones
  int toolkit = 0;                // 13000 is 13.0
};

/// An opaque handle to a CUDA event.
struct Event {
  void* handle = nullptr;
};

/// An opaque handle to a graph that can be launched.
struct Graph {
  void* handle = nullptr;
};

enum class CopyKind : int32_t { to_device, to_host, on_device };

/// GPUs that the driver shows; 0 where there is no driver.
inline const Entry<int()> device_count{"device_count"};
inline const Entry<DeviceFacts(int device)> device_facts{"device_facts"};
inline const Entry<LibraryFacts()> library_facts{"library_facts"};

/// A queue on the device that does not wait for the default stream.
inline const Entry<Queue(int device)> make_queue{"make_queue"};
inline const Entry<void(Queue)> free_queue{"free_queue"};
/// Returns when all work of the queue is done. Errors: DeviceError where any of it failed.
inline const Entry<void(Queue)> wait_queue{"wait_queue"};

/// Null where the device has no such room left; other failures are a DeviceError.
inline const Entry<void*(int device, int64_t bytes)> take_memory{"take_memory"};
inline const Entry<void(int device, void* memory)> give_memory{"give_memory"};
/// Pinned host memory, which copies need to run beside kernels.
inline const Entry<void*(int64_t bytes)> take_pinned{"take_pinned"};
inline const Entry<void(void* memory)> give_pinned{"give_pinned"};

/// Queued: host memory must stay, and unchanged, until the queue has come past it.
inline const Entry<void(Queue, void* to, const void* from, int64_t bytes, CopyKind)> copy_memory{
    "copy_memory"};
inline const Entry<void(Queue, void* memory, int64_t bytes)> zero_memory{"zero_memory"};

inline const Entry<Event(bool timed)> make_event{"make_event"};
inline const Entry<void(Event)> free_event{"free_event"};
inline const Entry<void(Queue, Event)> record_event{"record_event"};
/// What is queued from now on waits for the event's last record.
inline const Entry<void(Queue, Event)> wait_event{"wait_event"};
/// The host waits.
inline const Entry<void(Event)> finish_event{"finish_event"};
/// Between two timed events that have passed.
inline const Entry<float(Event begin, Event end)> milliseconds_between{"milliseconds_between"};

/// What is queued from now on, here and on queues that wait for this one's events, is recorded and
/// does not run. Only this thread's calls are held to the rules of capture.
inline const Entry<void(Queue)> begin_capture{"begin_capture"};
inline const Entry<Graph(Queue)> end_capture{"end_capture"};
/// Ends a capture that went wrong and forgets it; no error of its own.
inline const Entry<void(Queue)> drop_capture{"drop_capture"};
inline const Entry<bool(Queue)> is_capturing{"is_capturing"};
/// On the queue it was recorded on: its kernels use that queue's tickets.
inline const Entry<void(Graph, Queue)> launch_graph{"launch_graph"};
inline const Entry<int64_t(Graph)> graph_nodes{"graph_nodes"};
inline const Entry<void(Graph)> free_graph{"free_graph"};

}  // namespace gliograd::kernels
