// Element-wise ops: 16 bytes a thread and access; what is left over at the end goes one by one.
#include "kernels/elementwise.hpp"
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"

namespace gliograd::kernels {
namespace {

template <class Row, class T>
__global__ void __launch_bounds__(kPackThreads)
    values_kernel(const T* x, T* y, int64_t n, float parameter) {
  for_each_pack<kPack<T>>(n, [&](int64_t i, bool whole) {
    if (whole) {
      float v[kPack<T>];
      load_pack(v, x + i);
      GG_UNROLL
      for (float& one : v) one = Row::value(one, parameter);
      store_pack(y + i, v);
    } else {
      for (; i < n; ++i) store_value(y + i, Row::value(load_value(x + i), parameter));
    }
  });
}

template <class Row, class T>
__global__ void __launch_bounds__(kPackThreads)
    gradients_kernel(const T* dy, const T* y, T* dx, int64_t n, float parameter) {
  for_each_pack<kPack<T>>(n, [&](int64_t i, bool whole) {
    if (whole) {
      float d[kPack<T>], v[kPack<T>];
      load_pack(d, dy + i);
      load_pack(v, y + i);
      GG_UNROLL
      for (int k = 0; k < kPack<T>; ++k) d[k] = Row::gradient(d[k], v[k], parameter);
      store_pack(dx + i, d);
    } else {
      for (; i < n; ++i) {
        store_value(dx + i, Row::gradient(load_value(dy + i), load_value(y + i), parameter));
      }
    }
  });
}

template <class T>
__global__ void __launch_bounds__(kPackThreads)
    sums_kernel(const T* a, const T* b, T* y, int64_t n) {
  for_each_pack<kPack<T>>(n, [&](int64_t i, bool whole) {
    if (whole) {
      float u[kPack<T>], v[kPack<T>];
      load_pack(u, a + i);
      load_pack(v, b + i);
      GG_UNROLL
      for (int k = 0; k < kPack<T>; ++k) u[k] += v[k];
      store_pack(y + i, u);
    } else {
      for (; i < n; ++i) store_value(y + i, load_value(a + i) + load_value(b + i));
    }
  });
}

// Column of element i of rows of so many; where n allows it by a division of 32 bits, which is
// several times cheaper.
__device__ __forceinline__ int64_t column_of(int64_t i, int64_t columns, int64_t n) {
  if (n <= UINT32_MAX) return static_cast<uint32_t>(i) % static_cast<uint32_t>(columns);
  return i % columns;
}

// kCount divides the number of columns, so that a pack lies in one row.
template <int kCount, class T>
__global__ void __launch_bounds__(kPackThreads)
    add_to_rows_kernel(T* y, const T* bias, bool relu, int64_t n, int64_t columns) {
  for_each_pack<kCount>(n, [&](int64_t i, bool) {
    float v[kCount], b[kCount];
    load_pack(v, y + i);
    load_pack(b, bias + column_of(i, columns, n));
    GG_UNROLL
    for (int k = 0; k < kCount; ++k) {
      v[k] += b[k];
      if (relu) v[k] = elementwise::Relu::value(v[k], 0.0f);
    }
    store_pack(y + i, v);
  });
}

template <class T>
Launch shape_of(const char* name, int64_t n, int arrays) {
  return {.name = name,
          .grid = blocks_of_packs(n, kPack<T>),
          .block = kPackThreads,
          .cost = {.bytes = static_cast<double>(n) * sizeof(T) * arrays,
                   .ops = static_cast<double>(n)}};
}

// Calls body with a value of the row's type.
template <class Body, int... kRow>
void with_row(std::integer_sequence<int, kRow...>, int row, const Body& body) {
  ((row == kRow ? body(std::tuple_element_t<kRow, elementwise::Table>{}) : void()), ...);
}

void values(Queue queue, int row, DType type, const void* x, void* y, int64_t n, float parameter) {
  if (n == 0) return;
  with_float_type(type, [&](auto t) {
    using T = decltype(t);
    with_row(elementwise::Rows{}, row, [&](auto r) {
      using Row = decltype(r);
      launch(shape_of<T>(Row::kName, n, 2), queue, values_kernel<Row, T>, static_cast<const T*>(x),
             static_cast<T*>(y), n, parameter);
    });
  });
}

void gradients(Queue queue, int row, DType type, const void* dy, const void* y, void* dx, int64_t n,
               float parameter) {
  if (n == 0) return;
  with_float_type(type, [&](auto t) {
    using T = decltype(t);
    with_row(elementwise::Rows{}, row, [&](auto r) {
      using Row = decltype(r);
      launch(shape_of<T>(Row::kName, n, 3), queue, gradients_kernel<Row, T>,
             static_cast<const T*>(dy), static_cast<const T*>(y), static_cast<T*>(dx), n,
             parameter);
    });
  });
}

void sums(Queue queue, DType type, const void* a, const void* b, void* y, int64_t n) {
  if (n == 0) return;
  with_float_type(type, [&](auto t) {
    using T = decltype(t);
    launch(shape_of<T>("add", n, 3), queue, sums_kernel<T>, static_cast<const T*>(a),
           static_cast<const T*>(b), static_cast<T*>(y), n);
  });
}

void add_bias(Queue queue, DType type, int64_t rows, int64_t columns, const void* bias, bool relu,
              void* y) {
  const int64_t n = rows * columns;
  if (n == 0) return;
  with_float_type(type, [&](auto t) {
    using T = decltype(t);
    const bool packs = columns % kPack<T> == 0;
    Launch shape = shape_of<T>("add_to_rows", n, 2);
    if (!packs) shape.grid = blocks_of_packs(n, 1);
    launch(shape, queue, packs ? add_to_rows_kernel<kPack<T>, T> : add_to_rows_kernel<1, T>,
           static_cast<T*>(y), static_cast<const T*>(bias), relu, n, columns);
  });
}

const Provide<elementwise_values> provide_values{values};
const Provide<elementwise_gradients> provide_gradients{gradients};
const Provide<elementwise_sums> provide_sums{sums};
const Provide<add_to_rows> provide_add_to_rows{add_bias};

}  // namespace
}  // namespace gliograd::kernels
