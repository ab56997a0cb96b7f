#include "engine/device/captured_work.hpp"

#include <utility>

#include "engine/core/error.hpp"

namespace gliograd {
namespace {

// While one lives, the stream takes memory from the arena.
class Using {
 public:
  Using(Stream& stream, std::shared_ptr<CachingAllocator> arena)
      : stream_(stream), before_(stream.use(std::move(arena))) {}
  ~Using() { stream_.use(std::move(before_)); }
  Using(const Using&) = delete;
  Using& operator=(const Using&) = delete;

 private:
  Stream& stream_;
  std::shared_ptr<CachingAllocator> before_;
};

}  // namespace

CapturedWork::CapturedWork(Stream& stream) : stream_(&stream) {
  GG_CHECK(stream.device() == Device::cuda, "captured work: the stream must be a GPU's");
  arena_ = stream.allocator()->sibling();
}

CapturedWork::~CapturedWork() {
  if (graph_.handle == nullptr) return;
  try {
    stream_->wait();  // for replays still queued
  } catch (const kernels::DeviceError&) {
    // It has failed; whoever asked for its results was told.
  }
  kernels::free_graph(graph_);
}

void CapturedWork::run(const std::function<void()>& work) {
  const Using scope(*stream_, arena_);
  work();
  ++runs_;
}

void CapturedWork::capture(const std::function<void()>& work) {
  GG_CHECK(graph_.handle == nullptr, "captured work: recorded already");
  const Using scope(*stream_, arena_);
  kernels::begin_capture(stream_->queue());
  stream_->record_calls(&calls_);
  try {
    work();
  } catch (...) {
    stream_->record_calls(nullptr);
    calls_.clear();
    kernels::drop_capture(stream_->queue());
    throw;
  }
  stream_->record_calls(nullptr);
  graph_ = kernels::end_capture(stream_->queue());
}

void CapturedWork::replay() {
  GG_CHECK(graph_.handle != nullptr, "captured work: capture() comes first");
  for (const auto& call : calls_) call();
  kernels::launch_graph(graph_, stream_->queue());
}

void CapturedWork::next(const std::function<void()>& work) {
  if (runs_ < 2) {
    run(work);
    return;
  }
  if (graph_.handle == nullptr) capture(work);
  replay();
}

int64_t CapturedWork::nodes() const {
  return graph_.handle == nullptr ? 0 : kernels::graph_nodes(graph_);
}

}  // namespace gliograd
