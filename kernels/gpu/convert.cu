// Conversions between element types: eight elements a thread, so that a 16-bit side is one access
// of 16 bytes and an f32 side two.
#include "kernels/convert.hpp"
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"

namespace gliograd::kernels {
namespace {

constexpr int kCount = 8;

template <class To, class From, bool kAdd>
__global__ void __launch_bounds__(kPackThreads)
    convert_kernel(To* to, const From* from, int64_t n) {
  for_each_pack<kCount>(n, [&](int64_t i, bool whole) {
    if (whole) {
      float v[kCount];
      load_pack(v, from + i);
      if constexpr (kAdd) {
        float sum[kCount];
        load_pack(sum, to + i);
        GG_UNROLL
        for (int k = 0; k < kCount; ++k) v[k] += sum[k];
      }
      store_pack(to + i, v);
    } else {
      for (; i < n; ++i) {
        store_value(to + i, (kAdd ? load_value(to + i) : 0.0f) + load_value(from + i));
      }
    }
  });
}

void convert(Queue queue, DType to_type, void* to, DType from_type, const void* from, int64_t n,
             bool add) {
  if (n == 0) return;
  with_float_type(to_type, [&](auto t) {
    with_float_type(from_type, [&](auto f) {
      using To = decltype(t);
      using From = decltype(f);
      const Launch shape{
          .name = add ? "add_into" : "convert",
          .grid = blocks_of_packs(n, kCount),
          .block = kPackThreads,
          .cost = {.bytes = static_cast<double>(n) * (sizeof(To) * (add ? 2 : 1) + sizeof(From)),
                   .ops = static_cast<double>(n)}};
      launch(shape, queue, add ? convert_kernel<To, From, true> : convert_kernel<To, From, false>,
             static_cast<To*>(to), static_cast<const From*>(from), n);
    });
  });
}

// ---- many tensors ------------------------------------------------------------------------------

constexpr int64_t kItemBlock = kPackThreads * kCount * 4;  // values of one block

template <class From>
__device__ __forceinline__ void convert_block(const ConvertItems::Item& item, int64_t begin) {
  const From* from = static_cast<const From*>(item.from);
  const int64_t end = begin + kItemBlock < item.count ? begin + kItemBlock : item.count;
  for (int64_t i = begin + static_cast<int64_t>(threadIdx.x) * kCount; i < end;
       i += kPackThreads * kCount) {
    if (i + kCount <= end) {
      float v[kCount];
      load_pack(v, from + i);
      if (item.add) {
        float sum[kCount];
        load_pack(sum, item.to + i);
        GG_UNROLL
        for (int k = 0; k < kCount; ++k) v[k] += sum[k];
      }
      store_pack(item.to + i, v);
    } else {
      for (int64_t k = i; k < end; ++k) {
        item.to[k] = (item.add ? item.to[k] : 0.0f) + load_value(from + k);
      }
    }
  }
}

// A block finds its item by halving: the table lies in constant memory, and all threads read one
// place of it.
__global__ void __launch_bounds__(kPackThreads) convert_many_kernel(ConvertItems items) {
  const int block = static_cast<int>(blockIdx.x);
  int low = 0, high = items.count;  // the item lies in [low, high)
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (items.item[middle].first_block <= block ? low : high) = middle;
  }
  const ConvertItems::Item item = items.item[low];
  const int64_t begin = (block - item.first_block) * kItemBlock;
  switch (item.from_type) {
    case DType::f32: convert_block<float>(item, begin); break;
    case DType::bf16: convert_block<bf16>(item, begin); break;
    default: convert_block<f16>(item, begin); break;
  }
}

void many(Queue queue, const ConvertItems& items) {
  ConvertItems placed = items;
  Cost cost;
  int64_t blocks = 0;
  for (int i = 0; i < placed.count; ++i) {
    ConvertItems::Item& item = placed.item[i];
    with_float_type(item.from_type, [&](auto t) {
      cost.bytes += static_cast<double>(item.count) * (sizeof t + (item.add ? 8 : 4));
    });
    cost.ops += static_cast<double>(item.count);
    item.first_block = static_cast<int32_t>(blocks);
    blocks += (item.count + kItemBlock - 1) / kItemBlock;
  }
  if (blocks == 0) return;
  launch({.name = "convert_many",
          .grid = static_cast<unsigned>(blocks),
          .block = kPackThreads,
          .cost = cost},
         queue, convert_many_kernel, placed);
}

const Provide<convert_many> provide_many{many};
const Provide<convert_values> provide_convert_values{convert};

}  // namespace
}  // namespace gliograd::kernels
