// Rows cut into units: of 16 bytes where every width is whole units, else of one element. A thread
// keeps its column for good, so it looks up the part only once, and walks down the rows.
#include "kernels/concat.hpp"
#include "kernels/gpu/launch.cuh"

namespace gliograd::kernels {
namespace {

constexpr int kThreads = 256;

// Widths in units; `whole` has `stride` of them a row.
struct Rows {
  ConcatParts parts;
  int64_t rows, units, stride;
  int lanes;  // threads side by side: a power of two
};

template <class Unit, bool kSplit>
__global__ void __launch_bounds__(kThreads) concat_kernel(Rows of, Unit* whole) {
  const int lane = static_cast<int>(threadIdx.x) % of.lanes;
  const int level = static_cast<int>(threadIdx.x) / of.lanes, depth = kThreads / of.lanes;
  const int64_t step = static_cast<int64_t>(gridDim.x) * depth;
  for (int64_t unit = lane; unit < of.units; unit += of.lanes) {
    int p = 0;
    int64_t column = unit;
    while (column >= of.parts.part[p].width) column -= of.parts.part[p++].width;
    const int64_t width = of.parts.part[p].width;
    auto* part = static_cast<Unit*>(of.parts.part[p].data);
    if (part == nullptr) continue;
    for (int64_t row = static_cast<int64_t>(blockIdx.x) * depth + level; row < of.rows;
         row += step) {
      Unit& few = part[row * width + column];
      Unit& all = whole[row * of.stride + unit];
      if constexpr (kSplit) {
        few = all;
      } else {
        all = few;
      }
    }
  }
}

template <class Unit>
void start(Queue queue, const ConcatParts& parts, int64_t rows, int64_t element_bytes, void* whole,
           int64_t channels, bool split) {
  Rows of{.parts = parts, .rows = rows, .units = 0, .stride = 0, .lanes = 1};
  const auto units_of = [&](int64_t width) {
    return width * element_bytes / static_cast<int64_t>(sizeof(Unit));
  };
  of.stride = units_of(channels);
  int64_t moved = 0;
  for (int32_t p = 0; p < parts.count; ++p) {
    ConcatParts::Part& part = of.parts.part[p];
    part.width = units_of(part.width);
    of.units += part.width;
    moved += part.data != nullptr ? part.width : 0;
  }
  while (of.lanes < of.units && of.lanes < kThreads) of.lanes *= 2;
  constexpr int64_t kMostBlocks = 4096;
  const int64_t depth = kThreads / of.lanes, wanted = (rows + depth - 1) / depth;
  launch({.name = split ? "split_channels" : "concat_channels",
          .grid = static_cast<unsigned>(wanted < kMostBlocks ? wanted : kMostBlocks),
          .block = kThreads,
          .cost = {.bytes = 2.0 * static_cast<double>(rows * moved) * sizeof(Unit)}},
         queue, split ? concat_kernel<Unit, true> : concat_kernel<Unit, false>, of,
         static_cast<Unit*>(whole));
}

void concat(Queue queue, const ConcatParts& parts, int64_t rows, int64_t element_bytes, void* whole,
            int64_t channels, bool split) {
  int64_t units = 0;
  const auto fits = [](const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; };
  bool wide = channels * element_bytes % 16 == 0 && fits(whole);
  for (int32_t p = 0; p < parts.count; ++p) {
    const ConcatParts::Part& part = parts.part[p];
    units += part.width;
    wide = wide && part.width * element_bytes % 16 == 0 && fits(part.data);
  }
  if (rows * units == 0) return;
  if (wide) {
    start<uint4>(queue, parts, rows, element_bytes, whole, channels, split);
  } else if (element_bytes == 4) {
    start<uint32_t>(queue, parts, rows, element_bytes, whole, channels, split);
  } else if (element_bytes == 2) {
    start<uint16_t>(queue, parts, rows, element_bytes, whole, channels, split);
  } else {
    throw DeviceError("concat: elements of 2 or 4 bytes; got " + std::to_string(element_bytes));
  }
}

const Provide<concat_channels> provide_concat{concat};

}  // namespace
}  // namespace gliograd::kernels
