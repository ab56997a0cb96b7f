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

const Provide<convert_values> provide_convert_values{convert};

}  // namespace
}  // namespace gliograd::kernels
