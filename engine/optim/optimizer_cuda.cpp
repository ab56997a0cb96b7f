#include "engine/optim/optimizer_cuda.hpp"

#include <cmath>
#include <cstring>

#include "engine/core/error.hpp"
#include "kernels/runtime.hpp"

namespace gliograd::optim {
namespace {

using kernels::UpdateChunk;
using kernels::UpdateNumbers;
using kernels::UpdateOutcome;
using kernels::UpdateSlot;
using kernels::UpdateTable;

static_assert(std::is_trivially_copyable_v<UpdateSlot>);

// Waits: the host's bytes may go as soon as this returns.
void upload(const Stream& stream, void* to, const void* from, size_t bytes) {
  kernels::copy_memory(stream.queue(), to, from, static_cast<int64_t>(bytes),
                       kernels::CopyKind::to_device);
  stream.wait();
}

// Chunks in the order of the slots, those with a gradient first.
std::vector<UpdateChunk> chunks_of(const std::vector<UpdateSlot>& slots, UpdateTable& table) {
  std::vector<UpdateChunk> chunks;
  for (const bool with_gradient : {true, false}) {
    for (size_t s = 0; s < slots.size(); ++s) {
      const UpdateSlot& slot = slots[s];
      if ((slot.g != nullptr) != with_gradient) continue;
      for (int64_t at = 0; at < slot.count; at += kernels::kUpdateChunk) {
        chunks.push_back(
            {static_cast<int32_t>(s), static_cast<int32_t>(at / kernels::kUpdateChunk)});
      }
      const auto bytes = static_cast<double>(slot.count * sizeof(float));
      const int changed =
          (with_gradient ? 1 : 0) + (slot.first != nullptr && with_gradient ? 1 : 0) +
          (slot.second != nullptr && with_gradient ? 1 : 0) + (slot.ema != nullptr ? 1 : 0);
      table.bytes_all += bytes * (2 * changed + 1);  // and the gradient (or weight) is read
      if (slot.copy != nullptr) table.bytes_all += bytes / 2;
      if (with_gradient) table.bytes_gradients += bytes;
    }
    if (with_gradient) table.gradient_chunks = static_cast<int32_t>(chunks.size());
  }
  return chunks;
}

}  // namespace

const UpdateTable& DeviceTable::of(Stream& stream, const std::vector<UpdateSlot>& slots) {
  const bool capturing = kernels::is_capturing(stream.queue());
  if (made_ && slots == slots_) {
    recorded_ = recorded_ || capturing;
    return table_;
  }
  GG_CHECK(!capturing,
           "optimizer: a step under capture must have the gradients of the step before it");
  UpdateTable table;
  const std::vector<UpdateChunk> chunks = chunks_of(slots, table);
  table.slot_count = static_cast<int32_t>(slots.size());
  table.chunk_count = static_cast<int32_t>(chunks.size());

  size_t bytes = 0;
  const auto place = [&bytes](size_t count, size_t size) {
    const size_t at = bytes;
    bytes += (count * size + 15) / 16 * 16;
    return at;
  };
  const size_t slots_at = place(slots.size(), sizeof(UpdateSlot));
  const size_t chunks_at = place(chunks.size(), sizeof(UpdateChunk));
  const size_t uploaded = bytes;
  const size_t numbers_at = place(slots.size(), sizeof(UpdateNumbers));
  const size_t partial_at = place(static_cast<size_t>(table.gradient_chunks), sizeof(double));
  std::vector<unsigned char> host(uploaded);
  if (!slots.empty()) {
    std::memcpy(host.data() + slots_at, slots.data(), slots.size() * sizeof(UpdateSlot));
  }
  if (!chunks.empty()) {
    std::memcpy(host.data() + chunks_at, chunks.data(), chunks.size() * sizeof(UpdateChunk));
  }
  if (recorded_) kept_.push_back(memory_);
  memory_ = {};
  made_ = recorded_ = false;
  memory_ = empty(stream, {static_cast<int64_t>(bytes)}, DType::u8);
  auto* base = static_cast<unsigned char*>(memory_.raw());
  if (uploaded > 0) upload(stream, base, host.data(), uploaded);
  table.slots = reinterpret_cast<const UpdateSlot*>(base + slots_at);
  table.chunks = reinterpret_cast<const UpdateChunk*>(base + chunks_at);
  table.numbers = reinterpret_cast<UpdateNumbers*>(base + numbers_at);
  table.partial = reinterpret_cast<double*>(base + partial_at);
  slots_ = slots;
  table_ = table;
  made_ = true;
  return table_;
}

DeviceSteps::DeviceSteps(Stream& stream, const kernels::UpdateSettings& settings,
                         const LearningRates& rates)
    : settings_(settings),
      rates_(empty(stream, {rates.size()}, DType::f64)),
      outcome_(empty(stream, {static_cast<int64_t>(sizeof(UpdateOutcome))}, DType::u8)) {
  std::vector<double> host(static_cast<size_t>(rates.size()));
  for (int64_t s = 0; s < rates.size(); ++s) host[static_cast<size_t>(s)] = rates[s];
  upload(stream, rates_.raw(), host.data(), host.size() * sizeof(double));
  const UpdateOutcome none{.norm = NAN};
  upload(stream, outcome_.raw(), &none, sizeof none);
}

void DeviceSteps::step(Stream& stream, const std::vector<UpdateSlot>& slots) {
  UpdateTable table = steps_.of(stream, slots);
  table.rates = static_cast<const double*>(rates_.raw());
  table.rate_count = rates_.size();
  table.outcome = static_cast<UpdateOutcome*>(outcome_.raw());
  kernels::optimizer_step(stream.queue(), settings_, table, stream.state());
}

void DeviceSteps::swap(Stream& stream, const std::vector<UpdateSlot>& slots) {
  kernels::optimizer_swap(stream.queue(), swaps_.of(stream, slots));
}

double DeviceSteps::gradient_norm(const Stream& stream) const {
  UpdateOutcome outcome;
  kernels::copy_memory(stream.queue(), &outcome, outcome_.raw(), sizeof outcome,
                       kernels::CopyKind::to_host);
  stream.wait();
  GG_CHECK(outcome.no_rate == 0, "optimizer: the last step is beyond the learning rates of ",
           rates_.size(), " steps");
  return outcome.norm;
}

}  // namespace gliograd::optim
