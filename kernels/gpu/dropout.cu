#include "kernels/dropout.hpp"
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"

namespace gliograd::kernels {
namespace {

constexpr int kThreads = 256;

// A thread takes one block of draws: four elements of a sample.
template <class T>
__global__ void __launch_bounds__(kThreads)
    values_kernel(DropoutShape shape, PhiloxKey key, const StepState* state, const T* x,
                  uint8_t* kept, T* y) {
  const int64_t blocks = (shape.elements + 3) / 4;
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= shape.samples * blocks) return;
  const int64_t sample = at / blocks, block = at % blocks;
  RandomPlace place;
  place.position = static_cast<uint64_t>(block);
  place.layer = shape.layer;
  place.draw = static_cast<uint32_t>(state->draw) + static_cast<uint32_t>(sample);
  place.epoch = static_cast<uint32_t>(state->epoch);
  place.purpose = Purpose::dropout;
  const PhiloxBlock words = philox(key, counter_of(place));
  for (int64_t k = 0; k < 4 && block * 4 + k < shape.elements; ++k) {
    const int64_t i = sample * shape.elements + block * 4 + k;
    const bool keep = words.word[k] >> 9 >= shape.threshold;
    kept[i] = keep ? 1 : 0;
    store_value(y + i, keep ? load_value(x + i) * shape.scale : 0.0f);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    gradients_kernel(int64_t n, float scale, const T* dy, const uint8_t* kept, T* dx) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) store_value(dx + i, kept[i] != 0 ? load_value(dy + i) * scale : 0.0f);
}

template <class T>
Launch shape_of(const char* name, int64_t threads, int64_t values) {
  return {.name = name,
          .grid = static_cast<unsigned>((threads + kThreads - 1) / kThreads),
          .block = kThreads,
          .cost = {.bytes = static_cast<double>(values) * (2 * sizeof(T) + 1)}};
}

void values(Queue queue, const DropoutShape& shape, PhiloxKey key, const StepState* state,
            DType dtype, const void* x, uint8_t* kept, void* y) {
  const int64_t threads = shape.samples * ((shape.elements + 3) / 4);
  if (threads == 0) return;
  with_float_type(dtype, [&](auto t) {
    using T = decltype(t);
    launch(shape_of<T>("dropout", threads, shape.samples * shape.elements), queue, values_kernel<T>,
           shape, key, state, static_cast<const T*>(x), kept, static_cast<T*>(y));
  });
}

void gradients(Queue queue, DType dtype, int64_t n, float scale, const void* dy,
               const uint8_t* kept, void* dx) {
  if (n == 0) return;
  with_float_type(dtype, [&](auto t) {
    using T = decltype(t);
    launch(shape_of<T>("dropout_gradient", n, n), queue, gradients_kernel<T>, n, scale,
           static_cast<const T*>(dy), kept, static_cast<T*>(dx));
  });
}

const Provide<dropout_values> provide_values{values};
const Provide<dropout_gradients> provide_gradients{gradients};

}  // namespace
}  // namespace gliograd::kernels
